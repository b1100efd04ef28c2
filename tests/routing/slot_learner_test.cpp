#include "routing/slot_learner.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "config/base/random.hpp"

namespace millrace::routing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Instant kStart{seconds(10'000)};

/// Ticks once a second with everything known and well unless said otherwise.
struct Ticker {
    SlotLearner learner;
    Instant now = kStart;

    SlotChange tick(SlotEvidence evidence) {
        now += seconds(1);
        evidence.now = now;
        return learner.tick(evidence);
    }
    SlotChange well(std::uint32_t peak) {
        return tick({.peak = peak, .waiting = 0, .ttft = milliseconds(100)});
    }
    SlotChange queueing(std::uint32_t peak) { return tick({.peak = peak, .waiting = 3}); }
    SlotChange slow(std::uint32_t peak) {
        return tick({.peak = peak, .waiting = 0, .ttft = milliseconds(151)});
    }
    void shrink_to(std::uint32_t limit) {
        while (learner.limit() > limit) {
            queueing(learner.limit());
        }
    }
};

TEST(SlotLearner, StaysAt256WithoutEvidence) {
    Ticker ticker;
    for (int i = 0; i < 100; ++i) {
        EXPECT_EQ(ticker.tick({.peak = 256}), (SlotChange{256, 256, SlotCause::no_evidence}));
    }
}

TEST(SlotLearner, GrowsOnlyWhenTheLimitIsReachedAndAllIsWell) {
    Ticker ticker;
    EXPECT_EQ(ticker.well(204), (SlotChange{256, 256, SlotCause::not_reached}));
    EXPECT_EQ(ticker.well(205), (SlotChange{256, 272, SlotCause::grown}));
    for (int i = 0; i < 60; ++i) {
        ticker.well(ticker.learner.limit());
    }
    EXPECT_EQ(ticker.learner.limit(), kMaxSlots);
    EXPECT_EQ(ticker.well(kMaxSlots).to, kMaxSlots);
}

TEST(SlotLearner, CallsFourFifthsReached) {
    Ticker ticker;
    ticker.shrink_to(230);
    EXPECT_EQ(ticker.well(183).cause, SlotCause::not_reached);
    EXPECT_EQ(ticker.well(184).cause, SlotCause::grown);
}

TEST(SlotLearner, FeelsItsWayAfterAnOverload) {
    Ticker ticker;
    ticker.shrink_to(100);
    std::uint32_t limit = ticker.learner.limit();
    for (const std::uint32_t step : {1U, 2U, 3U, 4U, 5U, 6U, 7U, 8U, 9U, 10U, 11U, 12U, 13U, 13U}) {
        EXPECT_EQ(ticker.well(limit).to, limit + step);
        limit += step;
    }
    ticker.queueing(limit);
    limit = ticker.learner.limit();
    EXPECT_EQ(ticker.well(limit).to, limit + 1);
}

TEST(SlotLearner, GrowsOnOneKindOfEvidenceWhenTheOtherIsUnknown) {
    Ticker ticker;
    EXPECT_EQ(ticker.tick({.peak = 256, .waiting = 0}).cause, SlotCause::grown);
    EXPECT_EQ(ticker.tick({.peak = 272, .ttft = milliseconds(100)}).cause, SlotCause::grown);
}

TEST(SlotLearner, CutsATenthOnOverload) {
    Ticker ticker;
    EXPECT_EQ(ticker.queueing(100), (SlotChange{256, 230, SlotCause::backend_queues}));
    ticker.well(10);
    EXPECT_EQ(ticker.slow(100), (SlotChange{230, 207, SlotCause::slow_first_token}));
    EXPECT_EQ(ticker.tick({.peak = 100,
                           .waiting = 0,
                           .ttft = milliseconds(100),
                           .inter_token_target = milliseconds(50),
                           .inter_token = milliseconds(51)}),
              (SlotChange{207, 186, SlotCause::slow_tokens}));
    ticker.shrink_to(kMinSlots);
    EXPECT_EQ(ticker.queueing(4).to, kMinSlots);
}

TEST(SlotLearner, AllowsOneAndAHalfTimesTheFloor) {
    Ticker ticker;
    ticker.well(10);
    EXPECT_EQ(ticker.tick({.peak = 256, .waiting = 0, .ttft = milliseconds(150)}).cause,
              SlotCause::grown);
}

TEST(SlotLearner, DoesNotTakeAnUnknownGapForAKeptTarget) {
    Ticker ticker;
    const SlotEvidence unknown{.peak = 256,
                               .waiting = 0,
                               .ttft = milliseconds(100),
                               .inter_token_target = milliseconds(50)};
    EXPECT_EQ(ticker.tick(unknown).cause, SlotCause::no_evidence);
    auto kept = unknown;
    kept.inter_token = milliseconds(50);
    EXPECT_EQ(ticker.tick(kept).cause, SlotCause::grown);
}

TEST(SlotLearner, WaitsForACutToWorkBeforeTheNext) {
    Ticker ticker;
    EXPECT_EQ(ticker.queueing(256).to, 230U);
    for (const std::uint32_t peak : {256U, 250U, 240U, 231U}) {
        EXPECT_EQ(ticker.queueing(peak), (SlotChange{230, 230, SlotCause::settling}));
    }
    EXPECT_EQ(ticker.queueing(230).to, 207U);
}

// A backend that got slower for good, or a colder prefix cache.
TEST(SlotLearner, LearnsAFloorAnewWhenCuttingDoesNotHelp) {
    Ticker ticker;
    for (int i = 0; i < 30; ++i) {
        ticker.well(200);
    }
    std::uint32_t lowest = kMaxSlots;
    int ticks = 0;
    for (; ticks < 120 && ticker.learner.limit() < 256 + 16; ++ticks) {
        ticker.tick({.peak = ticker.learner.limit(), .waiting = 0, .ttft = milliseconds(400)});
        lowest = std::min(lowest, ticker.learner.limit());
    }
    EXPECT_GE(lowest, 256U * 9 / 20);
    EXPECT_LT(lowest, 256U);
    EXPECT_LT(ticks, 30);
}

TEST(SlotLearner, DoesNotForgetTheFloorWhileAQueueExplainsTheSlowness) {
    Ticker ticker;
    ticker.well(100);
    for (int i = 0; i < 40; ++i) {
        const auto peak = ticker.learner.limit();
        EXPECT_EQ(ticker.tick({.peak = peak, .waiting = 5, .ttft = seconds(2)}).cause,
                  SlotCause::backend_queues);
    }
    EXPECT_EQ(ticker.slow(4).cause,
              SlotCause::floor_relearned);  // at the bound, nothing else helps
}

TEST(SlotLearner, FindsTheBackendsCapacity) {
    // A backend that runs 64 requests of 30 s at a time, under more demand than it can take.
    for (const bool scraped : {true, false}) {
        SCOPED_TRACE(scraped);
        Ticker ticker;
        Random random(3);
        constexpr double kCapacity = 64;
        double in_flight = 20;
        std::uint32_t lowest_late = kMaxSlots;
        std::uint32_t highest_late = 0;
        for (int second = 0; second < 1200; ++second) {
            const auto limit = static_cast<double>(ticker.learner.limit());
            const double peak = in_flight;
            in_flight -= std::min(in_flight, kCapacity) / 30;
            // Demand ramps up; then the limit is all that bounds it.
            in_flight = std::max(in_flight, std::min(limit, 20.0 + second));
            const double queued = std::max(0.0, peak - kCapacity);
            const double wait = 0.2 + queued * 30 / kCapacity;
            const double noise = 0.9 + 0.2 * random.below(1000) / 1000;
            SlotEvidence evidence{.peak = static_cast<std::uint32_t>(std::ceil(peak))};
            if (scraped) {
                evidence.waiting = queued;
            }
            evidence.ttft =
                std::chrono::duration_cast<Duration>(std::chrono::duration<double>(wait * noise));
            ticker.tick(evidence);
            if (second > 600) {
                lowest_late = std::min(lowest_late, ticker.learner.limit());
                highest_late = std::max(highest_late, ticker.learner.limit());
            }
        }
        EXPECT_GE(lowest_late, 50U);
        EXPECT_LE(highest_late, 75U);
    }
}

TEST(TtftFloor, IsTheLowerQuartileOfFiveMinutes) {
    TtftFloor floor;
    EXPECT_EQ(floor.value(kStart), std::nullopt);
    for (int i = 0; i < 300; ++i) {
        floor.add(kStart + seconds(i), milliseconds(i % 4 == 0 ? 50 + i % 40 : 200));
    }
    EXPECT_EQ(floor.value(kStart + seconds(299)), milliseconds(200));
    floor.add(kStart + seconds(300), milliseconds(86));  // instead of a 50
    floor.add(kStart + seconds(301), milliseconds(86));  // instead of a 200
    EXPECT_EQ(floor.value(kStart + seconds(301)), milliseconds(86));
    // What is older than five minutes does not count, however little is left.
    floor.add(kStart + seconds(700), milliseconds(900));
    EXPECT_EQ(floor.value(kStart + seconds(700)), milliseconds(900));
    EXPECT_EQ(floor.value(kStart + seconds(1000)), std::nullopt);
}

TEST(TtftFloor, RestartsFromOneValue) {
    TtftFloor floor;
    for (int i = 0; i < 1000; ++i) {
        floor.add(kStart + seconds(i), milliseconds(100));
    }
    floor.restart(kStart + seconds(1000), milliseconds(400));
    EXPECT_EQ(floor.value(kStart + seconds(1000)), milliseconds(400));
}

TEST(TtftFloor, IsNotLoweredByAFewLuckyValues) {
    TtftFloor floor;
    for (int i = 0; i < 100; ++i) {
        floor.add(kStart + seconds(i), milliseconds(i % 5 == 0 ? 10 : 100));
    }
    EXPECT_EQ(floor.value(kStart + seconds(100)), milliseconds(100));
}

}  // namespace
}  // namespace millrace::routing
