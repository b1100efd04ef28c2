#include "gateway/runtime/timer_wheel.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <vector>

#include "config/base/random.hpp"

namespace millrace::gateway {
namespace {

using namespace std::chrono_literals;

struct Probe {
    Instant* now;
    int fired = 0;
    Instant fired_at{};
    Timer timer{[](void* self) {
                    auto* probe = static_cast<Probe*>(self);
                    ++probe->fired;
                    probe->fired_at = *probe->now;
                },
                this};

    explicit Probe(Instant* clock) : now(clock) {}
};

class TimerWheelTest : public testing::Test {
protected:
    void advance_to(Duration since_start) {
        now = start + since_start;
        wheel.advance(now);
    }

    Instant start = Instant(1h);
    Instant now = start;
    TimerWheel wheel{start};
};

TEST_F(TimerWheelTest, FiresOnceNotBeforeItsDeadline) {
    Probe probe(&now);
    wheel.arm(probe.timer, start + 25ms);
    advance_to(24ms);
    EXPECT_EQ(probe.fired, 0);
    advance_to(30ms);
    EXPECT_EQ(probe.fired, 1);
    EXPECT_FALSE(probe.timer.armed());
    advance_to(10s);
    EXPECT_EQ(probe.fired, 1);
    EXPECT_TRUE(wheel.empty());
}

TEST_F(TimerWheelTest, ForgetsADisarmedTimer) {
    Probe probe(&now);
    wheel.arm(probe.timer, start + 50ms);
    probe.timer.disarm();
    EXPECT_TRUE(wheel.empty());
    advance_to(1s);
    EXPECT_EQ(probe.fired, 0);
}

TEST_F(TimerWheelTest, MovesADeadlineInBothDirections) {
    Probe later(&now);
    wheel.arm(later.timer, start + 50ms);
    wheel.arm(later.timer, start + 5s);
    Probe sooner(&now);
    wheel.arm(sooner.timer, start + 5s);
    wheel.arm(sooner.timer, start + 50ms);
    advance_to(60ms);
    EXPECT_EQ(later.fired, 0);
    EXPECT_EQ(sooner.fired, 1);
    advance_to(5010ms);
    EXPECT_EQ(later.fired, 1);
}

TEST_F(TimerWheelTest, ATimerMayArmItselfAgainFromItsCallback) {
    struct Periodic {
        TimerWheel& wheel;
        Instant next;
        int fired = 0;
        Timer timer{[](void* self) {
                        auto* p = static_cast<Periodic*>(self);
                        ++p->fired;
                        p->next += 20ms;
                        p->wheel.arm(p->timer, p->next);
                    },
                    this};
    } periodic{wheel, start + 20ms};
    wheel.arm(periodic.timer, periodic.next);
    advance_to(1000ms);
    EXPECT_GE(periodic.fired, 45);
    EXPECT_LE(periodic.fired, 50);
}

TEST_F(TimerWheelTest, ACallbackMayDisarmATimerOfTheSameTick) {
    struct Pair {
        Timer victim{[](void*) { FAIL() << "disarmed timer fired"; }, nullptr};
        Timer killer{[](void* self) { static_cast<Pair*>(self)->victim.disarm(); }, this};
        Timer also_killer{[](void* self) { static_cast<Pair*>(self)->victim.disarm(); }, this};
    } pair;
    wheel.arm(pair.killer, start + 20ms);
    wheel.arm(pair.victim, start + 20ms);
    // Filed first, fires first: the victim is still in the list that is being walked.
    advance_to(20ms);
    EXPECT_TRUE(wheel.empty());
}

TEST_F(TimerWheelTest, ManyRandomTimersFireWithinOneTickOfTheStep) {
    Random random(7);
    std::deque<Probe> probes;
    std::vector<Duration> deadlines;
    for (int i = 0; i < 2000; ++i) {
        // From milliseconds to two days: every level and beyond the last one's first lap.
        const unsigned magnitude = 1 + random.below(26);
        const Duration deadline = 1ms * (1 + random.below(1U << magnitude));
        probes.emplace_back(&now);
        deadlines.push_back(deadline);
        wheel.arm(probes.back().timer, start + deadline);
    }
    Duration time = 0ms;
    while (time < 40h) {
        time += time < 1s ? 10ms : (time < 1min ? 100ms : 10s);
        advance_to(time);
    }
    for (std::size_t i = 0; i < probes.size(); ++i) {
        ASSERT_EQ(probes[i].fired, 1) << i;
        const Duration late = probes[i].fired_at - (start + deadlines[i]);
        ASSERT_GE(late, 0ms) << i;
        ASSERT_LE(late, 10s + 10ms) << i;
    }
    EXPECT_TRUE(wheel.empty());
}

TEST_F(TimerWheelTest, DestructionOfAnArmedTimerLeavesTheOthers) {
    Probe stays(&now);
    {
        Probe goes(&now);
        wheel.arm(goes.timer, start + 20ms);
        wheel.arm(stays.timer, start + 20ms);
    }
    advance_to(30ms);
    EXPECT_EQ(stays.fired, 1);
}

}  // namespace
}  // namespace millrace::gateway
