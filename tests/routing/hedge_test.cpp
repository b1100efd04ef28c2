#include "routing/hedge.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "config/base/random.hpp"

namespace millrace::routing {
namespace {

using namespace std::chrono_literals;

double uniform(Random& random) {
    return (static_cast<double>(random() >> 11U) + 0.5) * 0x1.0p-53;
}

/// Exponential with a mean of one second: its 95th percentile is ln 20 = 3.0 s.
Duration exponential(Random& random, double mean = 1) {
    return std::chrono::duration_cast<Duration>(
        std::chrono::duration<double>(-mean * std::log(uniform(random))));
}

TEST(HedgeDelay, IsTheConfiguredOrTheLearnedOneButNeverTooShort) {
    FirstTokenP95 learned;
    EXPECT_EQ(hedge_delay({.after = 3s}, learned), 3s);
    EXPECT_EQ(hedge_delay({}, learned), std::nullopt) << "nothing learned yet";
    for (std::uint32_t i = 0; i < FirstTokenP95::kMinSamples; ++i) {
        learned.observe(1s);
    }
    EXPECT_EQ(hedge_delay({}, learned), learned.value());
    EXPECT_EQ(hedge_delay({.after = 3s}, learned), 3s) << "configured beats learned";
    EXPECT_EQ(hedge_delay({.after = 1ms}, learned), kLeastHedgeDelay);
}

TEST(FirstTokenP95, IsUnknownUntilEnoughWasSeen) {
    FirstTokenP95 p95;
    for (std::uint32_t i = 0; i < FirstTokenP95::kMinSamples; ++i) {
        EXPECT_FALSE(p95.value());
        p95.observe(1s);
    }
    EXPECT_TRUE(p95.value());
}

TEST(FirstTokenP95, IsExceededByOneInTwenty) {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        Random random(seed);
        FirstTokenP95 p95;
        for (int i = 0; i < 500; ++i) {
            p95.observe(exponential(random));
        }
        int exceeded = 0;
        constexpr int kRequests = 20'000;
        for (int i = 0; i < kRequests; ++i) {
            const auto sample = exponential(random);
            exceeded += sample > *p95.value() ? 1 : 0;
            p95.observe(sample);
        }
        EXPECT_NEAR(static_cast<double>(exceeded) / kRequests, 0.05, 0.01);
    }
}

TEST(FirstTokenP95, FollowsAChange) {
    Random random(3);
    FirstTokenP95 p95;
    for (int i = 0; i < 5'000; ++i) {
        p95.observe(exponential(random));
    }
    EXPECT_NEAR(seconds(*p95.value()), 3, 1);
    for (int i = 0; i < 200; ++i) {
        p95.observe(exponential(random, 10));
    }
    EXPECT_GT(*p95.value(), 15s);
    for (int i = 0; i < 3'000; ++i) {
        p95.observe(exponential(random));
    }
    EXPECT_NEAR(seconds(*p95.value()), 3, 1);
}

}  // namespace
}  // namespace millrace::routing
