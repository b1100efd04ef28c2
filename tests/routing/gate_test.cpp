#include "routing/gate.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "routing/pickers.hpp"
#include "tests/routing/addresses.hpp"

namespace millrace::routing {
namespace {

class CountingTicket final : public Ticket {
public:
    explicit CountingTicket(const WaitOrder& order = {}, const EndpointState* avoid = nullptr)
        : Ticket(order, selection_) {
        selection_.avoid = avoid;
    }
    void wake() noexcept override { ++wakes; }
    std::atomic<int> wakes{0};

private:
    Selection selection_;
};

struct GateTest : testing::Test {
    std::shared_ptr<CountingTicket> enter(const WaitOrder& order = {}) {
        auto ticket = std::make_shared<CountingTicket>(order);
        entered = pool->gate().enter(ticket);
        return ticket;
    }
    Gate& gate() { return pool->gate(); }

    PoolDirectory directory;
    std::shared_ptr<Pool> pool = directory.acquire("b");
    Random random{1};
    Gate::Entered entered = Gate::Entered::full;
};

TEST_F(GateTest, HoldsUntilAnEndpointAppears) {
    const auto first = enter({.deadline = Instant{} + std::chrono::seconds(2)});
    const auto second = enter({.deadline = Instant{} + std::chrono::seconds(1)});
    EXPECT_EQ(entered, Gate::Entered::waiting);
    EXPECT_TRUE(gate().crowded());
    EXPECT_EQ(gate().position(*first), 1U);
    EXPECT_EQ(gate().position(*second), 0U);
    pool->set_limits({1, {}, {}});
    pool->update({at(1)});
    EXPECT_EQ(second->wakes, 1) << "the earlier deadline";
    EXPECT_EQ(first->wakes, 0) << "one slot wakes one";
    auto left = gate().leave(*second);
    EXPECT_EQ(left.state, Ticket::State::granted);
    EXPECT_EQ(left.selected.lease->url, "http://10.0.0.1:8000");
    left.selected.lease.release();
    EXPECT_EQ(first->wakes, 1);
    EXPECT_EQ(gate().leave(*first).state, Ticket::State::granted);
    EXPECT_FALSE(gate().crowded());
    EXPECT_EQ(pool->counts().in_flight, 0U);
}

TEST_F(GateTest, TellsAtOnceWhenRoomWasMadeMeanwhile) {
    pool->update({at(1)});
    const auto ticket = enter();
    EXPECT_EQ(entered, Gate::Entered::granted);
    EXPECT_EQ(ticket->wakes, 0);
    EXPECT_EQ(gate().leave(*ticket).state, Ticket::State::granted);
}

TEST_F(GateTest, PassesOnALeaseThatNobodyTook) {
    pool->set_limits({1, {}, {}});
    pool->update({at(1)});
    auto held = pick(*pool->snapshot(), random);
    auto first = enter();
    const auto second = enter();
    held.release();
    EXPECT_EQ(first->wakes, 1);
    {
        const auto dropped = gate().leave(*first);
    }  // its client left in the meantime
    EXPECT_EQ(second->wakes, 1);
    EXPECT_EQ(gate().leave(*second).state, Ticket::State::granted);
}

TEST_F(GateTest, LetsGoOfWhoeverLeaves) {
    const auto ticket = enter();
    EXPECT_EQ(gate().leave(*ticket).state, Ticket::State::waiting);
    EXPECT_FALSE(gate().crowded());
    pool->update({at(1)});
    EXPECT_EQ(ticket->wakes, 0);
    EXPECT_EQ(pool->counts().in_flight, 0U);
}

TEST_F(GateTest, HandsOutEverySlotThatThereIs) {
    pool->set_limits({2, {}, {}});
    const auto first = enter();
    const auto second = enter();
    const auto third = enter();
    pool->update({at(1)});
    EXPECT_EQ(first->wakes + second->wakes, 2);
    EXPECT_EQ(third->wakes, 0);
    for (const auto& ticket : {first, second, third}) {
        gate().leave(*ticket);
    }
}

TEST_F(GateTest, RefusesAndEvicts) {
    pool->set_limits({1, {1, 1'000, 0}, {}});
    const auto low = enter({.priority = 1});
    enter({.priority = 1});
    EXPECT_EQ(entered, Gate::Entered::full);
    const auto high = enter({.priority = 2});
    EXPECT_EQ(entered, Gate::Entered::waiting);
    EXPECT_EQ(low->wakes, 1);
    EXPECT_EQ(gate().leave(*low).state, Ticket::State::evicted);
    EXPECT_EQ(gate().leave(*high).state, Ticket::State::waiting);
    EXPECT_FALSE(gate().crowded());
}

TEST_F(GateTest, SendsEverybodyAwayWhenThePoolGoes) {
    const auto ticket = enter();
    auto lasting = pool->snapshot();
    // A lease may outlive the pool, and with it the gate.
    pool->update({at(1)});
    auto granted = gate().leave(*ticket);
    pool->set_limits({1, {}, {}});
    const auto second = enter();
    pool.reset();
    EXPECT_EQ(second->wakes, 1);
    EXPECT_EQ(granted.selected.lease->gate->leave(*second).state, Ticket::State::closed);
    granted.selected.lease.release();
}

TEST_F(GateTest, ReleasesHeldRequestsAtTheRateOfTheSlotsWithoutAHerd) {
    // 2 000 held, 3 endpoints of 4 slots: never more than 12 in flight, everybody is served.
    pool->set_limits({4, {5'000, 1'000, 0}, {}});
    std::vector<std::shared_ptr<CountingTicket>> waiting;
    for (int i = 0; i < 2'000; ++i) {
        waiting.push_back(enter());
    }
    pool->update({at(1), at(2), at(3)});
    std::vector<EndpointLease> running;
    std::size_t served = 0;
    while (served < waiting.size()) {
        for (auto& ticket : waiting) {
            if (ticket->wakes.exchange(0) > 0) {
                running.push_back(gate().leave(*ticket).selected.lease);
                ASSERT_TRUE(running.back());
                ++served;
            }
        }
        for (const auto& endpoint : pool->snapshot()->endpoints) {
            ASSERT_LE(endpoint->in_flight, 4U);
        }
        ASSERT_FALSE(running.empty());
        running.erase(running.begin());
    }
}

TEST(GateThreads, LosesNoWakeUp) {
    PoolDirectory directory;
    const auto pool = directory.acquire("b");
    pool->set_limits({2, {}, {}});
    pool->update({at(1), at(2)});
    std::atomic<int> served{0};
    std::vector<std::jthread> workers;
    for (std::uint64_t seed = 1; seed <= 6; ++seed) {
        workers.emplace_back([&, seed] {
            EndpointView view;
            Random random(seed);
            for (int i = 0; i < 3'000; ++i) {
                EndpointLease lease;
                if (!pool->gate().crowded()) {
                    lease = pick(view.of(*pool), random);
                }
                if (!lease) {
                    const auto ticket = std::make_shared<CountingTicket>();
                    if (pool->gate().enter(ticket) == Gate::Entered::waiting) {
                        while (ticket->wakes == 0) {
                            std::this_thread::yield();
                        }
                    }
                    lease = pool->gate().leave(*ticket).selected.lease;
                }
                ASSERT_TRUE(lease);
                ASSERT_LE(lease->in_flight, 2U);
                served.fetch_add(1, std::memory_order_relaxed);
            }
        });
    }
    workers.clear();
    EXPECT_EQ(served, 6 * 3'000);
    EXPECT_EQ(pool->counts().in_flight, 0U);
    EXPECT_FALSE(pool->gate().crowded());
}

}  // namespace
}  // namespace millrace::routing
