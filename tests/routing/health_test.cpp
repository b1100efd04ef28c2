#include "routing/health.hpp"

#include <gtest/gtest.h>

#include "routing/endpoints.hpp"
#include "routing/gate.hpp"
#include "routing/pickers.hpp"

namespace millrace::routing {
namespace {

using namespace std::chrono_literals;
using State = EndpointHealth::State;

constexpr Instant kStart = Instant{} + 1h;

EndpointAddress at(int last) {
    return {"10.0.0." + std::to_string(last), 8000, false, ""};
}

TEST(MayEject, SparesThePartThatMustStayAndTheOnlyEndpoint) {
    const HealthPolicy half;
    EXPECT_FALSE(may_eject(0, 1, half));
    EXPECT_TRUE(may_eject(0, 2, half));
    EXPECT_FALSE(may_eject(1, 2, half));
    EXPECT_TRUE(may_eject(0, 3, half));
    EXPECT_FALSE(may_eject(1, 3, half));
    EXPECT_TRUE(may_eject(4, 10, half));
    EXPECT_FALSE(may_eject(5, 10, half));
    HealthPolicy never;
    never.max_ejected_percent = 0;
    EXPECT_FALSE(may_eject(0, 100, never));
}

class PoolHealth : public testing::Test {
protected:
    explicit PoolHealth(int endpoints = 4) {
        std::vector<EndpointAddress> addresses;
        for (int i = 1; i <= endpoints; ++i) {
            addresses.push_back(at(i));
        }
        pool->update(addresses);
    }
    const std::shared_ptr<EndpointState>& endpoint(std::size_t index) {
        set = pool->snapshot();
        return set->endpoints[index];
    }
    void report(std::size_t index, Verdict verdict, int times = 1, Instant when = kStart) {
        for (int i = 0; i < times; ++i) {
            pool->report(EndpointLease(endpoint(index)), verdict, when);
        }
    }
    State state(std::size_t index) { return endpoint(index)->health.state(); }

    PoolDirectory directory;
    std::shared_ptr<Pool> pool = directory.acquire("b");
    std::shared_ptr<const EndpointSet> set;
};

TEST_F(PoolHealth, EjectsAfterFailuresInARowOnly) {
    report(0, Verdict::failure, 4);
    report(0, Verdict::success);
    report(0, Verdict::failure, 4);
    report(0, Verdict::neutral, 100);
    EXPECT_EQ(state(0), State::healthy);
    report(0, Verdict::failure);
    EXPECT_EQ(state(0), State::ejected);
    EXPECT_FALSE(endpoint(0)->ready());
    EXPECT_EQ(pool->counts().ready, 3U);
    EXPECT_EQ(pool->counts().ejected, 1U);
    const auto changes = pool->review(kStart);
    ASSERT_EQ(changes.size(), 1U);
    EXPECT_EQ(changes[0].url, "http://10.0.0.1:8000");
    EXPECT_GE(changes[0].ejected_for, 10s);
    EXPECT_LE(changes[0].ejected_for, 11s);
}

TEST_F(PoolHealth, NeverEjectsMoreThanHalf) {
    for (std::size_t i = 0; i < 4; ++i) {
        report(i, Verdict::failure, 50);
    }
    EXPECT_EQ(pool->counts().ejected, 2U);
    EXPECT_EQ(pool->counts().ready, 2U);
}

TEST_F(PoolHealth, ComesBackSlowlyAndFallsAgainAtOnce) {
    report(0, Verdict::failure, 5);
    EXPECT_TRUE(pool->review(kStart + 9s).size() == 1) << "only the ejection itself";
    EXPECT_EQ(state(0), State::ejected);
    ASSERT_EQ(pool->review(kStart + 12s).size(), 1U);
    EXPECT_EQ(state(0), State::probation);
    EXPECT_EQ(endpoint(0)->slots, 1U);
    report(0, Verdict::success);
    EXPECT_EQ(endpoint(0)->slots, 2U);
    report(0, Verdict::failure, 1, kStart + 13s);
    EXPECT_EQ(state(0), State::ejected) << "one failure is enough on probation";
    const auto changes = pool->review(kStart + 14s);
    ASSERT_EQ(changes.size(), 1U);
    EXPECT_GE(changes[0].ejected_for, 20s) << "the second in a row lasts twice as long";
}

TEST_F(PoolHealth, IsWholeAgainAfterEnoughSuccesses) {
    pool->set_limits({100, {}, {}});
    report(0, Verdict::failure, 5);
    pool->review(kStart + 12s);
    report(0, Verdict::success, 6);
    EXPECT_EQ(endpoint(0)->slots, 64U);
    report(0, Verdict::success);
    EXPECT_EQ(state(0), State::healthy);
    EXPECT_EQ(endpoint(0)->slots, 100U) << "the configured limit";
}

TEST_F(PoolHealth, ForgetsOldEjections) {
    report(0, Verdict::failure, 5);
    pool->review(kStart + 12s);
    report(0, Verdict::success, 7);
    pool->review(kStart + 12s);
    report(0, Verdict::failure, 5, kStart + 1h);
    const auto changes = pool->review(kStart + 1h);
    ASSERT_EQ(changes.size(), 1U);
    EXPECT_LE(changes[0].ejected_for, 11s);
}

TEST_F(PoolHealth, LetsWaitersInWhenAnEndpointComesBack) {
    pool->update({at(1), at(2)});
    pool->set_draining("http://10.0.0.2:8000", true);
    report(0, Verdict::failure, 5);
    class Silent final : public Ticket {
    public:
        Silent() : Ticket(WaitOrder{}, nullptr) {}
        void wake() noexcept override { woken = true; }
        bool woken = false;
    };
    const auto ticket = std::make_shared<Silent>();
    EXPECT_EQ(pool->gate().enter(ticket), Gate::Entered::waiting);
    pool->review(kStart + 12s);
    EXPECT_TRUE(ticket->woken);
    EXPECT_EQ(pool->gate().leave(*ticket).state, Ticket::State::granted);
}

TEST_F(PoolHealth, ObeysHealthChecksWithoutALimit) {
    for (int i = 1; i <= 4; ++i) {
        EXPECT_TRUE(pool->set_failing(at(i).url(), true));
    }
    EXPECT_FALSE(pool->snapshot()->ready());
    EXPECT_FALSE(pool->set_failing(at(9).url(), true));
    pool->set_failing(at(3).url(), false);
    Random random(1);
    EXPECT_EQ(pick(*pool->snapshot(), random)->url, at(3).url());
}

/// Whatever happens in whatever order, the bound holds.
TEST_F(PoolHealth, HoldsTheBoundOverRandomHistories) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        Random random(seed);
        Instant now = kStart;
        for (int step = 0; step < 2'000; ++step) {
            now += std::chrono::milliseconds(random.below(400));
            report(random.below(4), random.below(3) == 0 ? Verdict::success : Verdict::failure, 1,
                   now);
            if (random.below(20) == 0) {
                pool->review(now);
            }
            ASSERT_LE(pool->counts().ejected, 2U);
        }
    }
}

}  // namespace
}  // namespace millrace::routing
