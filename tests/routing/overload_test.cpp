#include "routing/overload.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <limits>
#include <thread>
#include <vector>

#include "config/base/random.hpp"

namespace millrace::routing {
namespace {

using namespace std::chrono_literals;
using enum OverloadStep;

constexpr Instant kStart = Instant{} + 1h;

OverloadPressure pressure(double value) {
    return {value, OverloadSignal::descriptors};
}

OverloadStep first_step(const OverloadPressure& pressure) {
    OverloadLadder ladder;
    ladder.update(pressure, kStart);
    return ladder.actions().step;
}

TEST(Overload, TakesEachStepAtItsThreshold) {
    const struct {
        double pressure;
        OverloadStep step;
    } cases[] = {{0, normal},           {0.849, normal},           {0.85, shorten_idle},
                 {0.919, shorten_idle}, {0.92, close_connections}, {0.949, close_connections},
                 {0.95, refuse},        {0.969, refuse},           {0.97, stop_accepting},
                 {5, stop_accepting}};
    for (const auto& c : cases) {
        EXPECT_EQ(first_step(pressure(c.pressure)), c.step) << c.pressure;
    }
}

TEST(Overload, SaysWhatChanged) {
    OverloadLadder ladder;
    EXPECT_FALSE(ladder.update(pressure(0.5), kStart));
    const auto up = ladder.update(pressure(0.96), kStart);
    ASSERT_TRUE(up);
    EXPECT_EQ(up->from, normal);
    EXPECT_EQ(up->to, refuse);
    EXPECT_FALSE(ladder.update(pressure(0.96), kStart));
    EXPECT_TRUE(ladder.actions().at_least(close_connections));
    EXPECT_FALSE(ladder.actions().at_least(stop_accepting));
    EXPECT_EQ(to_string(up->to), "refuse");
}

TEST(Overload, RecoversStepByStep) {
    OverloadLadder ladder;
    ladder.update(pressure(0.99), kStart);
    std::vector<OverloadStep> steps;
    for (int tick = 1; tick <= 60; ++tick) {
        if (const auto change = ladder.update(pressure(0.1), kStart + tick * 100ms)) {
            EXPECT_EQ(tick % 10, 0) << "a second each";
            steps.push_back(change->to);
        }
    }
    EXPECT_EQ(steps, (std::vector{refuse, close_connections, shorten_idle, normal}));
}

TEST(Overload, DoesNotFlapAroundAThreshold) {
    OverloadLadder ladder;
    int changes = 0;
    for (int tick = 0; tick < 600; ++tick) {
        const double value = tick % 20 < 10 ? 0.955 : 0.935;
        changes += ladder.update(pressure(value), kStart + tick * 100ms) ? 1 : 0;
    }
    EXPECT_EQ(changes, 1);
    EXPECT_EQ(ladder.actions().step, refuse);
}

TEST(Overload, NeedsAWholeSecondOfEase) {
    OverloadLadder ladder;
    ladder.update(pressure(0.96), kStart);
    for (int tick = 1; tick < 100; ++tick) {
        EXPECT_FALSE(ladder.update(pressure(tick % 9 == 0 ? 0.96 : 0.5), kStart + tick * 100ms));
    }
}

TEST(Overload, ScalesIdleTimeoutsWithThePressure) {
    OverloadLadder ladder;
    EXPECT_EQ(ladder.actions().scaled(60s), 60s);
    for (const auto& [value, idle] : std::vector<std::pair<double, Duration>>{
             {0.5, 60s}, {0.85, 60s}, {0.90, 33s}, {0.95, 6s}, {1.0, 6s}, {0.5, 60s}}) {
        ladder.update(pressure(value), kStart);
        EXPECT_EQ(ladder.actions().scaled(60s), idle) << value;
    }
}

TEST(Overload, KeepsItsStepWhenThePressureIsUnknown) {
    OverloadLadder ladder;
    ladder.update(pressure(0.96), kStart);
    EXPECT_FALSE(ladder.update(pressure(std::numeric_limits<double>::quiet_NaN()), kStart + 1h));
    EXPECT_EQ(ladder.actions().step, refuse);
    EXPECT_LT(ladder.actions().idle_percent, 100U);
}

TEST(Overload, ClimbsNoHigherThanRelievesTheSignal) {
    EXPECT_EQ(first_step(pressure_of({})), normal);
    EXPECT_EQ(first_step(pressure_of({.bytes = 2})), refuse) << "silence frees no memory";
    EXPECT_EQ(first_step(pressure_of({.connections = 1})), close_connections);
    EXPECT_EQ(first_step(pressure_of({.descriptors = 1})), stop_accepting);
    EXPECT_EQ(first_step(pressure_of({.bytes = 0.86, .connections = 0.5})), shorten_idle);
}

TEST(Overload, RefusesAtTheLimitOfTheLagAndStopsAcceptingAtTwiceThat) {
    EXPECT_EQ(first_step(pressure_of({.loop_lag = 0.8})), normal);
    EXPECT_EQ(first_step(pressure_of({.loop_lag = 0.9})), shorten_idle);
    EXPECT_EQ(first_step(pressure_of({.loop_lag = 1})), refuse);
    EXPECT_EQ(first_step(pressure_of({.loop_lag = 1.9})), refuse);
    EXPECT_EQ(first_step(pressure_of({.loop_lag = 2.01})), stop_accepting);
    EXPECT_LE(pressure_of({.loop_lag = 1e6}).value, 1);
}

TEST(Overload, NamesTheSignalThatLedUpAlsoOnTheWayDown) {
    const auto high = pressure_of({.bytes = 0.3, .descriptors = 0.99, .loop_lag = 0.6});
    EXPECT_EQ(high.signal, OverloadSignal::descriptors);
    OverloadLadder ladder;
    EXPECT_EQ(ladder.update(high, kStart)->signal, OverloadSignal::descriptors);
    const auto low = pressure_of({.bytes = 0.3, .descriptors = 0.1});
    EXPECT_EQ(low.signal, OverloadSignal::bytes);
    EXPECT_EQ(ladder.update(low, kStart + 1s)->signal, OverloadSignal::descriptors);
    EXPECT_EQ(ladder.actions().signal, OverloadSignal::descriptors);
    ladder.update(pressure_of({.bytes = 1}), kStart + 1s);
    EXPECT_EQ(ladder.actions().signal, OverloadSignal::bytes);
}

TEST(SustainedLag, IsNotImpressedByOneLateTick) {
    SustainedLag lag;
    EXPECT_EQ(lag.add(1ms), 0ms);
    EXPECT_EQ(lag.add(1ms), 0ms);
    EXPECT_EQ(lag.add(500ms), 1ms);
    EXPECT_EQ(lag.add(1ms), 1ms);
    EXPECT_EQ(lag.add(300ms), 1ms);
    EXPECT_EQ(lag.add(300ms), 1ms);
    EXPECT_EQ(lag.add(400ms), 300ms);
}

// Whatever the pressure does: the step is never below what the pressure asks for, goes down one at
// a time, and ends at normal after an easy spell.
TEST(Overload, NeverLagsBehindRisingPressure) {
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
        Random random(seed);
        OverloadLadder ladder;
        auto now = kStart;
        auto last = normal;
        for (int i = 0; i < 500; ++i) {
            now += std::chrono::milliseconds(random.below(500));
            const auto now_at = pressure(0.8 + random.below(210) / 1'000.0);
            ladder.update(now_at, now);
            const auto step = ladder.actions().step;
            EXPECT_GE(step, first_step(now_at));
            EXPECT_GE(static_cast<int>(step), static_cast<int>(last) - 1);
            last = step;
        }
        for (int i = 0; i < 6; ++i) {
            ladder.update(pressure(0.5), now += 1s);
        }
        EXPECT_EQ(ladder.actions().step, normal);
        EXPECT_EQ(ladder.actions().idle_percent, 100U);
    }
}

TEST(Overload, IsReadWholeByOtherThreads) {
    OverloadLadder ladder;
    std::atomic<bool> done{false};
    std::thread reader([&] {
        while (!done) {
            const auto actions = ladder.actions();
            EXPECT_EQ(actions.step == normal, actions.idle_percent == 100U);
        }
    });
    for (int i = 0; i < 10'000; ++i) {
        ladder.update(pressure(i % 2 == 0 ? 0.86 : 0.99), kStart);
    }
    done = true;
    reader.join();
}

}  // namespace
}  // namespace millrace::routing
