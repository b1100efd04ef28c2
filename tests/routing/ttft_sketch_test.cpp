#include "routing/ttft_sketch.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "config/base/random.hpp"

namespace millrace::routing {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Instant kStart{seconds(1000)};

void expect_within(double share, std::optional<Duration> actual, Duration expected) {
    ASSERT_TRUE(actual);
    EXPECT_NEAR(static_cast<double>(actual.value_or(Duration(0)).count()),
                static_cast<double>(expected.count()),
                share * static_cast<double>(expected.count()));
}

TEST(NormalisedTtft, IsTheTimeOfAReferencePrompt) {
    EXPECT_EQ(normalised_ttft(milliseconds(90), kReferenceTokens), milliseconds(90));
    EXPECT_EQ(normalised_ttft(milliseconds(90), 0), milliseconds(270));
    EXPECT_EQ(normalised_ttft(milliseconds(500), 15 * 1024 - 512), milliseconds(50));
}

TEST(TtftSketch, GivesTheNinetiethPercentile) {
    for (const Duration unit :
         {Duration(microseconds(700)), Duration(milliseconds(3)), Duration(seconds(2))}) {
        TtftSketch sketch;
        for (int i = 1; i <= 100; ++i) {
            sketch.observe(unit * i);
        }
        expect_within(0.07, sketch.take(kStart), unit * 90);
    }
}

TEST(TtftSketch, IsPreciseAtEveryMagnitude) {
    for (Duration value = milliseconds(1); value < seconds(1000); value = value * 21 / 20) {
        TtftSketch sketch;
        for (std::uint32_t i = 0; i < TtftSketch::kMinSamples; ++i) {
            sketch.observe(value);
        }
        expect_within(0.07, sketch.take(kStart), value);
    }
}

TEST(TtftSketch, TakesValuesBeyondItsRange) {
    TtftSketch sketch;
    for (std::uint32_t i = 0; i < 10; ++i) {
        sketch.observe(-seconds(1));
        sketch.observe(std::chrono::hours(9));
    }
    expect_within(0.07, sketch.take(kStart), seconds(1100));
}

TEST(TtftSketch, IgnoresTheSlowestTenth) {
    TtftSketch sketch;
    for (int i = 0; i < 18; ++i) {
        sketch.observe(milliseconds(10));
    }
    sketch.observe(seconds(60));
    sketch.observe(seconds(60));
    expect_within(0.07, sketch.take(kStart), milliseconds(10));
}

TEST(TtftSketch, WaitsForEnoughSamplesAndDropsOldOnes) {
    TtftSketch sketch;
    EXPECT_FALSE(sketch.take(kStart));
    for (int i = 0; i < 19; ++i) {
        sketch.observe(milliseconds(10));
    }
    EXPECT_FALSE(sketch.take(kStart + seconds(1)));
    sketch.observe(milliseconds(10));
    EXPECT_TRUE(sketch.take(kStart + seconds(2)));
    EXPECT_FALSE(sketch.take(kStart + seconds(3)));  // every sample counts once
    for (int i = 0; i < 19; ++i) {
        sketch.observe(seconds(10));
    }
    EXPECT_FALSE(sketch.take(kStart + seconds(12)));  // too few for too long: gone
    sketch.observe(milliseconds(10));
    EXPECT_FALSE(sketch.take(kStart + seconds(13)));
}

TEST(TtftSketch, MayBeFedWhileItIsTaken) {
    TtftSketch sketch;
    constexpr int kEach = 20'000;
    std::vector<std::jthread> workers;
    workers.reserve(3);
    for (int worker = 0; worker < 3; ++worker) {
        workers.emplace_back([&] {
            for (int i = 0; i < kEach; ++i) {
                sketch.observe(milliseconds(10));
            }
        });
    }
    std::optional<Duration> last;
    for (int i = 0; i < 100; ++i) {
        if (const auto taken = sketch.take(kStart + seconds(i))) {
            last = taken;
        }
    }
    workers.clear();
    if (const auto taken = sketch.take(kStart + seconds(101))) {
        last = taken;
    }
    expect_within(0.07, last, milliseconds(10));
}

}  // namespace
}  // namespace millrace::routing
