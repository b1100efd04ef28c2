#include "routing/waiting_line.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "config/base/random.hpp"

namespace millrace::routing {
namespace {

using testing::ElementsAre;
using namespace std::chrono_literals;

constexpr Instant kStart{};

Instant in(int seconds) {
    return kStart + std::chrono::seconds(seconds);
}

/// Waiters with stable addresses, and a line that is empty before they go.
class WaitingLineTest : public testing::Test {
protected:
    Waiter& add(const WaitOrder& order) {
        auto& waiter = waiters.emplace_back(order);
        last = line.push(waiter);
        return waiter;
    }
    const WaitOrder& serve() {
        const auto& order = line.front()->order();
        line.pop_front();
        return order;
    }
    ~WaitingLineTest() override {
        for (auto& waiter : waiters) {
            line.remove(waiter);
        }
    }

    std::deque<Waiter> waiters;
    WaitingLine line;
    WaitingLine::Pushed last;
};

TEST_F(WaitingLineTest, ServesPriorityThenDeadlineThenArrival) {
    add({.priority = 1, .cost = 1, .deadline = in(5)});
    add({.priority = 1, .cost = 2, .deadline = in(3)});
    add({.priority = 2, .cost = 3, .deadline = in(9)});
    add({.priority = 1, .cost = 4, .deadline = in(3)});
    std::vector<std::uint64_t> order;
    while (line.front() != nullptr) {
        order.push_back(serve().cost);
    }
    EXPECT_THAT(order, ElementsAre(3, 2, 4, 1));
    EXPECT_EQ(line.size(), 0U);
}

TEST_F(WaitingLineTest, HasItsLimits) {
    line.set_limits({.requests = 3, .bytes = 100, .tenant_requests = 2});
    add({.tenant = 1, .bytes = 60});
    add({.tenant = 2, .bytes = 41});
    EXPECT_EQ(last.status, LineStatus::full_bytes);
    add({.tenant = 1, .bytes = 10});
    EXPECT_EQ(last.status, LineStatus::queued);
    add({.tenant = 1});
    EXPECT_EQ(last.status, LineStatus::full_tenant);
    add({.tenant = 2});
    add({.tenant = 3});
    EXPECT_EQ(last.status, LineStatus::full_requests);
    EXPECT_EQ(line.size(), 3U);
    EXPECT_EQ(line.bytes(), 70U);
}

TEST_F(WaitingLineTest, AHigherBandTakesThePlaceOfTheLowest) {
    line.set_limits({.requests = 3, .bytes = 1'000, .tenant_requests = 0});
    add({.priority = 2});
    const auto& early = add({.priority = 1, .tenant = 1, .cost = 5, .deadline = in(1)});
    auto& late = add({.priority = 1, .tenant = 1, .cost = 5, .deadline = in(2)});
    add({.priority = 3});
    EXPECT_EQ(last.status, LineStatus::queued);
    EXPECT_THAT(last.evicted, ElementsAre(&late));
    EXPECT_TRUE(early.in_line());
    add({.priority = 1});
    EXPECT_EQ(last.status, LineStatus::full_requests) << "never an equal one";
    EXPECT_TRUE(last.evicted.empty());
}

TEST_F(WaitingLineTest, EvictsTheTenantWithTheMostTokensInTheBand) {
    line.set_limits({.requests = 3, .bytes = 1'000, .tenant_requests = 0});
    add({.priority = 1, .tenant = 1, .cost = 10, .deadline = in(9)});
    auto& greedy = add({.priority = 1, .tenant = 2, .cost = 500, .deadline = in(1)});
    add({.priority = 1, .tenant = 3, .cost = 20, .deadline = in(9)});
    add({.priority = 2});
    EXPECT_THAT(last.evicted, ElementsAre(&greedy));
}

TEST_F(WaitingLineTest, EvictsNobodyWhenThatWouldNotMakeRoom) {
    line.set_limits({.requests = 10, .bytes = 100, .tenant_requests = 0});
    add({.priority = 2, .bytes = 80});
    add({.priority = 1, .bytes = 10});
    add({.priority = 3, .bytes = 95});
    EXPECT_EQ(last.status, LineStatus::queued) << "both lower bands leave";
    EXPECT_EQ(last.evicted.size(), 2U);
    add({.priority = 9, .bytes = 101});
    EXPECT_EQ(last.status, LineStatus::full_bytes);
    EXPECT_TRUE(last.evicted.empty());
    EXPECT_EQ(line.size(), 1U);
}

TEST_F(WaitingLineTest, SharesTokensByWeightWhateverTheSizes) {
    // Tenant 1 asks for little at a time, tenant 2 for much, tenant 3 has twice the weight.
    Random random(7);
    std::map<std::uint32_t, std::uint64_t> served;
    const auto refill = [&](std::uint32_t tenant) {
        const std::uint64_t cost =
            tenant == 2 ? 2'000 + random.below(4'000) : 50 + random.below(300);
        add({.tenant = tenant, .weight = tenant == 3 ? 2U : 1U, .cost = cost});
    };
    for (int i = 0; i < 60; ++i) {
        for (const std::uint32_t tenant : {1U, 2U, 3U}) {
            refill(tenant);
        }
    }
    while (served[1] + served[2] + served[3] < 2'000'000) {
        const auto order = serve();
        served[order.tenant] += order.cost;
        refill(order.tenant);
    }
    EXPECT_NEAR(static_cast<double>(served[1]), 500'000, 25'000);
    EXPECT_NEAR(static_cast<double>(served[2]), 500'000, 25'000);
    EXPECT_NEAR(static_cast<double>(served[3]), 1'000'000, 50'000);
}

TEST_F(WaitingLineTest, ATenantWithOneRequestAtATimeGainsNothing) {
    // Its lane empties after every service; what it was served is not forgotten while others wait.
    std::map<std::uint32_t, int> served;
    for (int i = 0; i < 400; ++i) {
        add({.tenant = 2, .cost = 100});
    }
    add({.tenant = 1, .cost = 100});
    for (int i = 0; i < 200; ++i) {
        const auto order = serve();
        ++served[order.tenant];
        if (order.tenant == 1) {
            add({.tenant = 1, .cost = 100});
        }
    }
    EXPECT_NEAR(served[1], 100, 1);
    EXPECT_NEAR(served[2], 100, 1);
}

TEST_F(WaitingLineTest, TimeSpentElsewhereIsNoCredit) {
    for (int i = 0; i < 100; ++i) {
        add({.tenant = 1, .cost = 100});
    }
    for (int i = 0; i < 50; ++i) {
        serve();
    }
    for (int i = 0; i < 100; ++i) {
        add({.tenant = 2, .cost = 100});
    }
    std::map<std::uint32_t, int> served;
    for (int i = 0; i < 40; ++i) {
        ++served[serve().tenant];
    }
    EXPECT_NEAR(served[1], 20, 1);
}

TEST_F(WaitingLineTest, WhoLeavesCostsNothing) {
    auto& gone = add({.tenant = 1, .cost = 100'000});
    add({.tenant = 2, .cost = 100});
    EXPECT_TRUE(line.remove(gone));
    EXPECT_FALSE(line.remove(gone));
    add({.tenant = 1, .cost = 100});
    std::map<std::uint32_t, int> served;
    ++served[serve().tenant];
    ++served[serve().tenant];
    EXPECT_EQ(served[1], 1);
    EXPECT_EQ(served[2], 1);
}

TEST_F(WaitingLineTest, HandsOutTheExpiredOnce) {
    auto& first = add({.priority = 1, .deadline = in(1)});
    auto& second = add({.priority = 2, .deadline = in(2)});
    add({.priority = 1, .deadline = in(3)});
    EXPECT_EQ(line.next_deadline(), in(1));
    EXPECT_THAT(line.expire(in(2)), testing::UnorderedElementsAre(&first, &second));
    EXPECT_TRUE(line.expire(in(2)).empty());
    EXPECT_EQ(line.next_deadline(), in(3));
}

TEST_F(WaitingLineTest, KnowsPositionsExactly) {
    Random random(3);
    for (int i = 0; i < 60; ++i) {
        add({.priority = random.below(3),
             .tenant = random.below(4),
             .weight = 1 + random.below(3),
             .cost = 1 + random.below(900),
             .deadline = in(static_cast<int>(random.below(50)))});
    }
    std::map<const Waiter*, std::size_t> promised;
    for (const auto& waiter : waiters) {
        promised[&waiter] = line.position(waiter);
    }
    for (std::size_t at = 0; line.front() != nullptr; ++at) {
        EXPECT_EQ(promised[line.front()], at);
        line.pop_front();
    }
}

}  // namespace
}  // namespace millrace::routing
