// What discovery and drains do to a pool; pool_health_test has what its health does.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "routing/endpoints.hpp"
#include "routing/pickers.hpp"
#include "tests/routing/addresses.hpp"

namespace millrace::routing {
namespace {

TEST(Pool, KeepsTheStateOfEndpointsThatStay) {
    PoolDirectory directory;
    const auto pool = directory.acquire("b");
    auto change = pool->update({at(1), at(2), at(1)});
    EXPECT_EQ(change.added, 2U);
    const auto before = pool->snapshot();
    const EndpointLease lease(before->endpoints[1]);
    change = pool->update({at(2), at(3)});
    EXPECT_EQ(change.kept, 1U);
    EXPECT_EQ(change.added, 1U);
    EXPECT_EQ(change.removed, 1U);
    const auto after = pool->snapshot();
    EXPECT_EQ(after->endpoints[0], before->endpoints[1]);
    EXPECT_EQ(after->endpoints[0]->in_flight, 1U);
}

TEST(Pool, GivesAReturningEndpointANewGeneration) {
    PoolDirectory directory;
    const auto pool = directory.acquire("b");
    pool->update({at(1)});
    auto old = pool->snapshot()->endpoints[0];
    EndpointLease lease(old);
    pool->update({});
    EXPECT_EQ(pool->counts().endpoints, 0U);
    EXPECT_EQ(pool->counts().in_flight, 1U);  // the attempt on the removed endpoint still runs
    pool->update({at(1)});
    const auto fresh = pool->snapshot()->endpoints[0];
    EXPECT_NE(fresh->generation, old->generation);
    EXPECT_EQ(fresh->in_flight, 0U);
    EXPECT_EQ(pool->counts().in_flight, 1U);
    lease.release();
    EXPECT_EQ(pool->counts().in_flight, 0U);
    EXPECT_EQ(fresh->in_flight, 0U);
}

TEST(Pool, TreatsAnotherNameAsAnotherEndpoint) {
    PoolDirectory directory;
    const auto pool = directory.acquire("b");
    pool->update({{"10.0.0.1", 443, true, "a.svc"}});
    const auto before = pool->snapshot()->endpoints[0]->generation;
    const auto change = pool->update({{"10.0.0.1", 443, true, "b.svc"}});
    EXPECT_EQ(change.added, 1U);
    EXPECT_EQ(change.removed, 1U);
    EXPECT_NE(pool->snapshot()->endpoints[0]->generation, before);
}

TEST(Pool, DoesNotPublishAnUnchangedSet) {
    PoolDirectory directory;
    const auto pool = directory.acquire("b");
    pool->update({at(1), at(2)});
    const auto before = pool->snapshot();
    pool->update({at(1), at(2)});
    EXPECT_EQ(pool->snapshot(), before);
}

TEST(Pool, DrainsByUrlAndWhole) {
    PoolDirectory directory;
    const auto pool = directory.acquire("b");
    pool->update({at(1), at(2)});
    EXPECT_TRUE(pool->set_draining("http://10.0.0.1:8000", true));
    EXPECT_FALSE(pool->set_draining("http://10.0.0.9:8000", true));
    EXPECT_EQ(pool->counts().ready, 1U);
    EXPECT_TRUE(pool->snapshot()->ready());
    EXPECT_EQ(pool->set_draining(true), 2U);
    EXPECT_FALSE(pool->snapshot()->ready());
    pool->update({at(1), at(2), at(3)});
    EXPECT_EQ(pool->counts().ready, 1U);  // drains survive discovery
    EXPECT_TRUE(pool->set_draining("http://10.0.0.1:8000", false));
    EXPECT_EQ(pool->counts().ready, 2U);
}

// Endpoints come and go while workers take and give back leases: no count may go below zero (the
// lease asserts it), and all must end at zero.
TEST(Pool, CountsSurviveFlappingEndpoints) {
    PoolDirectory directory;
    const auto pool = directory.acquire("b");
    pool->update({at(1), at(2)});
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> taken{0};
    std::vector<std::jthread> workers;
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
        workers.emplace_back([&, seed] {
            EndpointView view;
            Random random(seed);
            std::vector<EndpointLease> held(8);
            while (!stop.load(std::memory_order_relaxed)) {
                if (auto lease = pick(view.of(*pool), random)) {
                    held[random.below(8)] = std::move(lease);
                    taken.fetch_add(1, std::memory_order_relaxed);
                }
            }
        });
    }
    for (int round = 0; round < 3000 || taken.load() < 20'000; ++round) {
        pool->update(round % 2 == 0 ? std::vector{at(2), at(3)} : std::vector{at(1), at(2)});
        // The sum is not of one moment, but a count below zero would show as a huge one.
        EXPECT_LT(pool->counts().in_flight, 1U << 20U);
        if (round % 7 == 0) {
            pool->set_draining("http://10.0.0.2:8000", round % 2 == 0);
        }
    }
    stop = true;
    workers.clear();
    EXPECT_EQ(pool->counts().in_flight, 0U);
    for (const auto& endpoint : pool->snapshot()->endpoints) {
        EXPECT_EQ(endpoint->in_flight, 0U);
    }
}

}  // namespace
}  // namespace millrace::routing
