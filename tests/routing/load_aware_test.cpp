#include "routing/load_aware.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

namespace millrace::routing {
namespace {

using std::chrono::milliseconds;

constexpr PoolSpeed kPool{.prefill_rate = 1000, .service = 10};

double ttft(const Candidate& candidate, std::uint32_t prompt = 500) {
    return predicted_ttft(candidate, prompt, kPool);
}

TEST(LoadAware, PredictsPrefillOfWhatIsNotCached) {
    EXPECT_DOUBLE_EQ(ttft({}), 0.5);
    EXPECT_DOUBLE_EQ(ttft({.matched_tokens = 400}), 0.1);
    EXPECT_DOUBLE_EQ(ttft({.matched_tokens = 9000}), 0);
    EXPECT_DOUBLE_EQ(ttft({.queued_prompt_tokens = 2000}), 2.5);
    EXPECT_DOUBLE_EQ(ttft({.prefill_rate = 2000}), 0.25);
}

TEST(LoadAware, EverySignOfLoadMakesItLonger) {
    const Candidate base{.in_flight = 4, .queued_prompt_tokens = 100, .waiting = 1, .running = 4};
    const std::vector<std::function<void(Candidate&)>> signs = {
        [](Candidate& c) { c.in_flight += 1; },
        [](Candidate& c) { c.queued_prompt_tokens += 5000; },
        [](Candidate& c) { c.waiting = 2; },
        [](Candidate& c) { c.kv_usage = 0.9; },
        [](Candidate& c) { c.prefill_rate = 500; },
        [](Candidate& c) { c.service = 20; },
        [](Candidate& c) { c.admission = 0.5F; },
    };
    for (std::size_t i = 0; i < signs.size(); ++i) {
        auto worse = base;
        signs[i](worse);
        EXPECT_GT(ttft(worse), ttft(base)) << i;
    }
}

TEST(LoadAware, TakesTheLongerOfTwoViewsOfOneQueue) {
    // Two wait for ends that come every 10 s / 20.
    const Candidate scraped{.waiting = 2, .running = 20};
    EXPECT_DOUBLE_EQ(ttft(scraped), 1.0 + 0.5);
    auto both = scraped;
    both.queued_prompt_tokens = 600;
    EXPECT_DOUBLE_EQ(ttft(both), 1.0 + 0.5);
    both.queued_prompt_tokens = 3000;
    EXPECT_DOUBLE_EQ(ttft(both), 3.0 + 0.5);
}

TEST(LoadAware, FeelsTheKvCacheOnlyWhenItIsNearlyFull) {
    const auto with = [](double usage) { return ttft({.running = 10, .kv_usage = usage}); };
    EXPECT_DOUBLE_EQ(with(0.79), ttft({}));
    EXPECT_NEAR(with(0.9), ttft({}) + 0.5, 1e-9);
    EXPECT_NEAR(with(1.0), ttft({}) + 1.0, 1e-9);
    EXPECT_DOUBLE_EQ(with(55), with(1.0));
}

TEST(LoadAware, StandsAnyScrapedNumber) {
    for (const double odd : {std::nan(""), -5.0, -std::numeric_limits<double>::infinity()}) {
        EXPECT_DOUBLE_EQ(ttft({.waiting = odd, .running = odd, .kv_usage = odd}), ttft({})) << odd;
    }
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    EXPECT_TRUE(std::isfinite(ttft({.waiting = kInfinity, .running = 0, .kv_usage = kInfinity})));
}

TEST(LoadAware, BelievesWhatWasLearnedWithinAFactorOfFour) {
    EXPECT_DOUBLE_EQ(ttft({.prefill_rate = 1}), 2.0);
    EXPECT_DOUBLE_EQ(ttft({.prefill_rate = 1e9}), 0.125);
}

TEST(LoadAware, AveragesThePoolOverThoseOfWhichSomethingIsLearned) {
    const std::vector<Candidate> some{
        {}, {.prefill_rate = 1000}, {.prefill_rate = 3000, .service = 8}};
    EXPECT_DOUBLE_EQ(pool_speed(some).prefill_rate, 2000);
    EXPECT_DOUBLE_EQ(pool_speed(some).service, 8);
    EXPECT_DOUBLE_EQ(pool_speed({}).prefill_rate, kPriorPrefillRate);
    EXPECT_DOUBLE_EQ(pool_speed({}).service, kPriorService);
}

TEST(EndpointSpeed, LearnsNothingFromNothing) {
    EXPECT_EQ(EndpointSpeed{}.prefill_rate(), 0);
    EXPECT_EQ(after_first_token({}, 0, milliseconds(50)).prefill_rate(), 0);
}

TEST(EndpointSpeed, StartsNearThePriorAndConverges) {
    auto speed = after_first_token({}, 100, milliseconds(50));  // 2000/s
    EXPECT_GT(speed.prefill_rate(), 6000);
    for (int i = 0; i < 100; ++i) {
        speed = after_first_token(speed, 1000, milliseconds(500));
    }
    EXPECT_NEAR(speed.prefill_rate(), 2000, 20);
    for (int i = 0; i < 100; ++i) {
        speed = after_first_token(speed, 1000, milliseconds(100));
    }
    EXPECT_NEAR(speed.prefill_rate(), 10'000, 100);
}

TEST(EndpointSpeed, WeighsLongPromptsMore) {
    EndpointSpeed speed;
    for (int i = 0; i < 200; ++i) {
        // 20 tokens in 30 ms are latency, not a rate.
        speed = i % 2 == 0 ? after_first_token(speed, 20, milliseconds(30))
                           : after_first_token(speed, 8000, milliseconds(1030));
    }
    EXPECT_NEAR(speed.prefill_rate(), 7600, 200);
}

TEST(EndpointSpeed, OneAbsurdObservationPasses) {
    EndpointSpeed speed;
    for (int i = 0; i < 100; ++i) {
        speed = after_first_token(speed, 1000, milliseconds(100));
    }
    auto cold = after_first_token(speed, 1000, std::chrono::hours(1));
    EXPECT_GT(cold.prefill_rate(), 1000);
    for (int i = 0; i < 64; ++i) {
        cold = after_first_token(cold, 1000, milliseconds(100));
    }
    EXPECT_GT(cold.prefill_rate(), 8000);
    EXPECT_LT(after_first_token(speed, 1'000'000, Duration(0)).prefill_rate(), 1e6);
}

TEST(EndpointSpeed, AveragesServiceTimes) {
    auto speed = after_request({}, milliseconds(2000));
    EXPECT_DOUBLE_EQ(speed.service, 2);
    for (int i = 0; i < 100; ++i) {
        speed = after_request(speed, milliseconds(6000));
    }
    EXPECT_NEAR(speed.service, 6, 0.05);
    EXPECT_EQ(speed.prefill_rate(), 0);
}

}  // namespace
}  // namespace millrace::routing
