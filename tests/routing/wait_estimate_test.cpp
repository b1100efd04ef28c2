#include "routing/wait_estimate.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace millrace::routing {
namespace {

using namespace std::chrono_literals;

constexpr Instant kStart = Instant{} + 1h;

TEST(WaitEstimate, IsThePlaceInLineByTheRateOfService) {
    WaitEstimate estimate;
    EXPECT_EQ(estimate.until_served(100, true, kStart), WaitEstimate::kUnknownService);
    for (int i = 0; i < 1'200; ++i) {
        estimate.served(kStart + i * 100ms);  // ten a second for two minutes
    }
    const auto now = kStart + 120s;
    EXPECT_NEAR(seconds(estimate.until_served(0, true, now)), 0.1, 0.02);
    EXPECT_NEAR(seconds(estimate.until_served(99, true, now)), 10, 1);
    EXPECT_GT(estimate.until_served(99, true, now + 60s), 30s) << "nobody was served since";
    EXPECT_EQ(estimate.until_served(99, true, now + 1h), WaitEstimate::kUnknownService);
}

TEST(WaitEstimate, LearnsColdStartsByTheirMedian) {
    WaitEstimate estimate;
    EXPECT_EQ(estimate.until_served(0, false, kStart), WaitEstimate::kUnknownColdStart);
    auto now = kStart;
    for (const auto took : {100s, 120s, 900s, 110s, 105s}) {
        estimate.waiting(false, now);
        estimate.waiting(false, now + 1s);  // the first one counts
        now += took;
        estimate.served(now);
        now += 1h;
    }
    EXPECT_EQ(estimate.until_served(0, false, now), 110s);
    estimate.waiting(false, now);
    EXPECT_EQ(estimate.until_served(0, false, now + 70s), 40s) << "what is left of it";
    EXPECT_EQ(estimate.until_served(0, false, now + 10min), 1s) << "any moment now";
}

TEST(WaitEstimate, IsNotTaughtByAWaitForBusyEndpoints) {
    WaitEstimate estimate;
    estimate.waiting(false, kStart);
    estimate.waiting(true, kStart + 1s);
    estimate.served(kStart + 2s);
    EXPECT_EQ(estimate.until_served(0, false, kStart + 1h), WaitEstimate::kUnknownColdStart);
}

TEST(RetryAfter, StaysBetweenOneSecondAndAMinute) {
    Random random(1);
    for (const Duration estimate : {Duration(0), Duration(100ms), Duration(7s), Duration(2h)}) {
        for (int i = 0; i < 200; ++i) {
            const auto wait = retry_after(estimate, random);
            EXPECT_GE(wait, 1s);
            EXPECT_LE(wait, 60s);
            EXPECT_GE(wait, std::min<Duration>(estimate, 40s));
            EXPECT_LE(wait, std::max<Duration>(estimate * 3 / 2, 1500ms));
        }
    }
}

TEST(RetryAfter, SpreadsABurstOut) {
    // 1 000 refused at once come back over half the estimate: no bucket has twice its share.
    Random random(2);
    std::map<std::int64_t, int> arrivals;
    for (int i = 0; i < 1'000; ++i) {
        ++arrivals[retry_after(10s, random).count() / 500];
    }
    const auto peak =
        std::ranges::max_element(arrivals, {}, [](const auto& e) { return e.second; });
    EXPECT_LE(peak->second, 2 * 1'000 / 10);
    EXPECT_GE(arrivals.size(), 10U);
}

}  // namespace
}  // namespace millrace::routing
