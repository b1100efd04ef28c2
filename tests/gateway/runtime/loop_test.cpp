#include "gateway/runtime/loop.hpp"

#include <gtest/gtest.h>

#include <future>
#include <thread>
#include <vector>

#include "gateway/runtime/socket.hpp"
#include "tests/support/deadline.hpp"
#include "tests/support/manual_clock.hpp"

namespace millrace::gateway {
namespace {

using namespace std::chrono_literals;

void raise(void* flag) {
    *static_cast<bool*>(flag) = true;
}

class LoopTest : public testing::Test {
protected:
    void pass(Duration time) {
        clock.advance(time);
        loop.turn(Duration(0));
    }

    test::ManualClock clock;
    std::vector<Duration> lags;
    Loop loop{clock, 1, [this](Duration lag) { lags.push_back(lag); }};
};

TEST_F(LoopTest, FiresATimerNoEarlierThanItsDeadlineAndSoonAfter) {
    bool fired = false;
    Timer timer(raise, &fired);
    loop.arm(timer, clock.now() + 1s);
    for (int i = 0; i < 99; ++i) {
        pass(10ms);
    }
    EXPECT_FALSE(fired);
    pass(20ms);
    EXPECT_TRUE(fired);
}

TEST_F(LoopTest, ATimerArmedAfterALongPauseStillWaitsItsTime) {
    pass(10h);  // nothing is armed: the wheel stands still
    bool fired = false;
    Timer timer(raise, &fired);
    loop.arm(timer, clock.now() + 100ms);
    pass(50ms);
    EXPECT_FALSE(fired);
    pass(70ms);
    EXPECT_TRUE(fired);
}

TEST_F(LoopTest, FiresWhatAStallMadeLateInOneTurnAndReportsTheLag) {
    bool first = false;
    bool second = false;
    Timer a(raise, &first);
    Timer b(raise, &second);
    loop.arm(a, clock.now() + 20ms);
    loop.arm(b, clock.now() + 500ms);
    pass(TimerWheel::kTick + 1s);
    EXPECT_TRUE(first);
    EXPECT_TRUE(second);
    ASSERT_EQ(lags.size(), 1U);
    EXPECT_EQ(lags.front(), 1s);
}

TEST_F(LoopTest, TicksOnlyWhileSomethingIsArmed) {
    for (int i = 0; i < 10; ++i) {
        pass(1s);
    }
    EXPECT_TRUE(lags.empty());
    bool fired = false;
    Timer timer(raise, &fired);
    loop.arm(timer, clock.now() + 10ms);
    pass(20ms);
    EXPECT_TRUE(fired);
    const auto ticks = lags.size();
    for (int i = 0; i < 10; ++i) {
        pass(1s);
    }
    EXPECT_EQ(lags.size(), ticks);
}

TEST_F(LoopTest, ShowsTheLatestLagForAsLongAsItTicks) {
    bool fired = false;
    Timer timer(raise, &fired);
    loop.arm(timer, clock.now() + 10s);
    EXPECT_EQ(loop.lag(), 0ms);
    pass(TimerWheel::kTick + 300ms);
    EXPECT_EQ(loop.lag(), 300ms);
    pass(TimerWheel::kTick);
    pass(TimerWheel::kTick);
    EXPECT_EQ(loop.lag(), TimerWheel::kTick) << "of the probe, which came with the next turn";
    pass(TimerWheel::kTick + 200ms);
    EXPECT_EQ(loop.lag(), 200ms);
    timer.disarm();
    pass(1s);
    EXPECT_EQ(loop.lag(), 0ms) << "nothing is late while nothing is armed";
}

TEST_F(LoopTest, ProbesItsQueueOfEventsOnlyWhileItTicks) {
    const auto wake_ups = [this] {
        int count = 0;
        while (loop.poller().wait(Duration(0))) {
            ++count;
        }
        return count;
    };
    pass(10s);
    EXPECT_EQ(wake_ups(), 0);
    bool fired = false;
    Timer timer(raise, &fired);
    loop.arm(timer, clock.now() + 10s);
    pass(TimerWheel::kTick);
    EXPECT_EQ(wake_ups(), 1) << "with the first tick";
    pass(TimerWheel::kTick);
    EXPECT_EQ(wake_ups(), 0) << "one at a time";
}

TEST_F(LoopTest, CountsTheSocketsThatAreOpen) {
    EXPECT_EQ(loop.sockets(), 0U);
    {
        Socket first(loop, boost::asio::ip::tcp::v4());
        Socket second(loop, boost::asio::ip::tcp::v4());
        EXPECT_EQ(loop.sockets(), 2U);
        first.close();
        first.close();
        EXPECT_EQ(loop.sockets(), 1U);
    }
    EXPECT_EQ(loop.sockets(), 0U);
}

TEST_F(LoopTest, ATimerMayArmItselfAgain) {
    struct Repeating {
        Loop& loop;
        int count = 0;
        Timer timer{[](void* self) {
                        auto& me = *static_cast<Repeating*>(self);
                        ++me.count;
                        me.loop.arm(me.timer, me.loop.recent() + 100ms);
                    },
                    this};
    } repeating{loop};
    loop.arm(repeating.timer, clock.now() + 100ms);
    for (int i = 0; i < 200; ++i) {
        pass(10ms);
    }
    EXPECT_GE(repeating.count, 15);
    EXPECT_LE(repeating.count, 20);
}

TEST_F(LoopTest, ReadsTheClockOncePerTurn) {
    loop.turn(Duration(0));
    const auto before = loop.recent();
    EXPECT_EQ(before, clock.now());
    clock.advance(1s);
    EXPECT_EQ(loop.recent(), before);
    loop.turn(Duration(0));
    EXPECT_EQ(loop.recent(), before + 1s);
    clock.advance(1s);
    EXPECT_EQ(loop.now(), before + 2s);
    EXPECT_EQ(loop.recent(), before + 2s);
}

TEST_F(LoopTest, RunsPostedWorkInOrderAndOnlyInATurn) {
    std::vector<int> ran;
    loop.post([&] {
        ran.push_back(1);
        loop.post([&] { ran.push_back(3); });
    });
    loop.post([&] { ran.push_back(2); });
    EXPECT_TRUE(ran.empty());
    loop.turn(Duration(0));
    loop.turn(Duration(0));
    EXPECT_EQ(ran, (std::vector<int>{1, 2, 3}));
}

TEST_F(LoopTest, WhatIsPostedMayBeMovableOnly) {
    int seen = 0;
    loop.post([&seen, value = std::make_unique<int>(7)] { seen = *value; });
    loop.turn(Duration(0));
    EXPECT_EQ(seen, 7);
}

TEST_F(LoopTest, DropsPostedWorkUnrunWhenItGoes) {
    const auto owned = std::make_shared<int>(1);
    bool ran = false;
    {
        Loop other(clock, 1, [](Duration) {});
        other.post([owned, &ran] { ran = true; });
        EXPECT_EQ(owned.use_count(), 2);
    }
    EXPECT_EQ(owned.use_count(), 1);
    EXPECT_FALSE(ran);
}

TEST(LoopThreads, IsWokenByPostAndByStopFromOtherThreads) {
    const SystemClock clock;
    Loop loop(clock, 1, [](Duration) {});
    std::thread runner([&loop] { loop.run(); });
    for (int i = 0; i < 100; ++i) {  // it has nothing else to wake it for an hour
        std::promise<std::thread::id> where;
        auto answer = where.get_future();
        loop.post([&where] { where.set_value(std::this_thread::get_id()); });
        const bool came = answer.wait_for(test::kPatience) == std::future_status::ready;
        EXPECT_TRUE(came);
        EXPECT_TRUE(!came || answer.get() == runner.get_id());
        if (!came) {
            break;
        }
    }
    loop.stop();
    runner.join();
}

TEST(LoopThreads, LosesNothingThatManyThreadsPostAtOnce) {
    const SystemClock clock;
    Loop loop(clock, 1, [](Duration) {});
    constexpr int kThreads = 4;
    constexpr int kEach = 2000;
    int count = 0;  // touched by the loop's thread only
    std::promise<void> all;
    std::thread runner([&loop] { loop.run(); });
    std::vector<std::thread> posters;
    for (int t = 0; t < kThreads; ++t) {
        posters.emplace_back([&] {
            for (int i = 0; i < kEach; ++i) {
                loop.post([&] {
                    if (++count == kThreads * kEach) {
                        all.set_value();
                    }
                });
            }
        });
    }
    EXPECT_EQ(all.get_future().wait_for(test::kPatience), std::future_status::ready);
    for (auto& poster : posters) {
        poster.join();
    }
    loop.stop();
    runner.join();
}

TEST(LoopThreads, AStopBeforeRunIsNotForgotten) {
    const SystemClock clock;
    Loop loop(clock, 1, [](Duration) {});
    loop.stop();
    loop.run();  // returns
}

}  // namespace
}  // namespace millrace::gateway
