#include "routing/pickers.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <vector>

#include "routing/gate.hpp"

namespace millrace::routing {
namespace {

EndpointSet set_of(int size) {
    EndpointSet set;
    for (int i = 0; i < size; ++i) {
        EndpointAddress address{"10.0.0." + std::to_string(i), 8000, false, ""};
        set.endpoints.push_back(std::make_shared<EndpointState>(
            std::move(address), static_cast<std::uint64_t>(i), std::make_shared<Gate>(1)));
    }
    return set;
}

TEST(Picker, FindsNothingInAnEmptyOrDrainingSet) {
    Random random(1);
    EXPECT_FALSE(pick(set_of(0), random));
    const auto set = set_of(5);
    for (const auto& endpoint : set.endpoints) {
        endpoint->draining = true;
    }
    EXPECT_FALSE(pick(set, random));
    EXPECT_FALSE(pick(set, random, set.endpoints[0].get()));
}

TEST(Picker, NeverGivesMoreThanTheSlots) {
    Random random(1);
    const auto set = set_of(4);
    for (const auto& endpoint : set.endpoints) {
        endpoint->slots = 2;
    }
    std::vector<EndpointLease> held;
    for (int i = 0; i < 8; ++i) {
        held.push_back(pick(set, random));
        ASSERT_TRUE(held.back()) << i;
    }
    EXPECT_FALSE(pick(set, random));
    const auto* freed = held[3].get();
    held[3].release();
    EXPECT_EQ(pick(set, random).get(), freed);
}

TEST(Picker, WaitsForABusyEndpointRatherThanTakeTheOneThatFailed) {
    Random random(1);
    const auto set = set_of(2);
    set.endpoints[1]->slots = 0;
    EXPECT_FALSE(pick(set, random, set.endpoints[0].get()));
    set.endpoints[1]->draining = true;
    EXPECT_TRUE(pick(set, random, set.endpoints[0].get()));
}

TEST(Picker, TakesNoneOfThoseThatFailed) {
    Random random(1);
    const auto set = set_of(4);
    Avoided failed;
    for (std::size_t i = 0; i < 3; ++i) {
        failed.add(set.endpoints[i].get());
        for (int j = 0; j < 20; ++j) {
            EXPECT_FALSE(failed.contains(pick(set, random, failed).get()));
        }
    }
    failed.add(set.endpoints[3].get());
    EXPECT_TRUE(pick(set, random, failed)) << "nobody else is ready";
}

TEST(Picker, LooksAtBothOfTwo) {
    Random random(1);
    const auto set = set_of(2);
    const EndpointLease busy(set.endpoints[0]);
    for (int i = 0; i < 100; ++i) {
        EXPECT_EQ(pick(set, random).get(), set.endpoints[1].get());
    }
}

TEST(Picker, DecidesTiesAtRandom) {
    for (const int size : {2, 3, 8}) {
        Random random(1);
        const auto set = set_of(size);
        std::map<const EndpointState*, int> counts;
        for (int i = 0; i < 8000; ++i) {
            ++counts[pick(set, random).get()];
        }
        for (const auto& endpoint : set.endpoints) {
            EXPECT_NEAR(counts[endpoint.get()], 8000 / size, 400) << size;
        }
    }
}

TEST(Picker, NeverTakesTheBusiestOfMany) {
    Random random(1);
    const auto set = set_of(10);
    set.endpoints[4]->in_flight = 100;
    for (int i = 0; i < 5000; ++i) {
        EXPECT_NE(pick(set, random).get(), set.endpoints[4].get());
    }
    set.endpoints[4]->in_flight = 0;
}

TEST(Picker, BalancesLeasesThatStay) {
    Random random(1);
    const auto set = set_of(16);
    std::vector<EndpointLease> held;
    for (int i = 0; i < 1600; ++i) {
        held.push_back(pick(set, random));
    }
    for (const auto& endpoint : set.endpoints) {
        EXPECT_NEAR(endpoint->in_flight, 100, 4);  // two choices: log log n, against ±25 for one
    }
}

TEST(Picker, SharesADrainedEndpointsPartEvenly) {
    Random random(1);
    const auto set = set_of(5);
    set.endpoints[0]->draining = true;
    set.endpoints[1]->draining = true;
    std::map<const EndpointState*, int> counts;
    for (int i = 0; i < 9000; ++i) {
        ++counts[pick(set, random).get()];
    }
    EXPECT_EQ(counts.size(), 3U);
    for (const auto& [endpoint, count] : counts) {
        EXPECT_NEAR(count, 3000, 250);
    }
}

TEST(Picker, AvoidsTheFailedEndpointUnlessItIsAlone) {
    Random random(1);
    for (const int size : {2, 3, 6}) {
        const auto set = set_of(size);
        const auto* failed = set.endpoints[1].get();
        for (int i = 0; i < 200; ++i) {
            EXPECT_NE(pick(set, random, failed).get(), failed);
        }
        for (const auto& endpoint : set.endpoints) {
            endpoint->draining = endpoint.get() != failed;
        }
        EXPECT_EQ(pick(set, random, failed).get(), failed);
    }
}

}  // namespace
}  // namespace millrace::routing
