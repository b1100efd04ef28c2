#include "gateway/app/lifecycle.hpp"

#include <gtest/gtest.h>

#include <initializer_list>

namespace millrace::gateway {
namespace {

using namespace std::chrono_literals;
using Phase = Lifecycle::Phase;

constexpr Instant kStart{1h};

bool nothing(const LifecycleActions& actions) {
    return !actions.drain_connections && !actions.stop_accepting && !actions.abort_requests &&
           !actions.stop;
}

config::Drain limits(Duration pre_stop, Duration deadline) {
    return {.pre_stop = pre_stop, .deadline = deadline};
}

TEST(Lifecycle, ServesAndIsReadyUntilASignalComes) {
    Lifecycle life(limits(0s, 10s));
    EXPECT_TRUE(life.is_ready());
    EXPECT_TRUE(nothing(life.advance(kStart + 1000h, 5, 5)));
    EXPECT_TRUE(nothing(life.advance(kStart + 2000h, 0, 0)));
    EXPECT_EQ(life.phase(), Phase::serving);
    EXPECT_FALSE(life.is_stopping());
}

TEST(Lifecycle, StaysOpenButUnreadyDuringPreStop) {
    Lifecycle life(limits(5s, 10s));
    EXPECT_TRUE(nothing(life.on_signal(kStart, 3)));
    EXPECT_EQ(life.phase(), Phase::pre_stop);
    EXPECT_FALSE(life.is_ready());
    EXPECT_TRUE(life.is_stopping());
    EXPECT_TRUE(nothing(life.advance(kStart + 5s - 1ns, 3, 4)));
    EXPECT_TRUE(nothing(life.advance(kStart + 4s, 0, 0))) << "others may still connect";
    const auto actions = life.advance(kStart + 5s, 3, 4);
    EXPECT_TRUE(actions.drain_connections && actions.stop_accepting);
    EXPECT_FALSE(actions.abort_requests || actions.stop);
    EXPECT_EQ(life.phase(), Phase::closing);
}

TEST(Lifecycle, WithoutPreStopClosesAtOnce) {
    Lifecycle life(limits(0s, 10s));
    const auto actions = life.on_signal(kStart, 1);
    EXPECT_TRUE(actions.drain_connections && actions.stop_accepting);
    EXPECT_FALSE(actions.abort_requests || actions.stop);
}

TEST(Lifecycle, EndsCleanlyOnceTheLastConnectionIsGone) {
    Lifecycle life(limits(0s, 10s));
    life.on_signal(kStart, 1);
    EXPECT_TRUE(nothing(life.advance(kStart + 1s, 0, 1))) << "an answer is still being flushed";
    EXPECT_TRUE(life.advance(kStart + 2s, 0, 0).stop);
    EXPECT_EQ(life.phase(), Phase::stopped);
    EXPECT_EQ(life.exit_code(), 0);
    EXPECT_TRUE(nothing(life.advance(kStart + 3s, 0, 0))) << "stop is said once";
    EXPECT_TRUE(nothing(life.on_signal(kStart + 3s, 0)));
}

TEST(Lifecycle, AbortsAtTheDeadlineAndSaysThatSomethingWasCut) {
    Lifecycle life(limits(5s, 10s));
    life.on_signal(kStart, 2);
    life.advance(kStart + 5s, 2, 2);
    EXPECT_TRUE(nothing(life.advance(kStart + 15s - 1ns, 2, 2)))
        << "the deadline counts from the end of pre_stop";
    const auto actions = life.advance(kStart + 15s, 2, 2);
    EXPECT_TRUE(actions.abort_requests);
    EXPECT_FALSE(actions.stop) << "the farewell needs a moment";
    EXPECT_EQ(life.phase(), Phase::aborting);
    EXPECT_TRUE(life.advance(kStart + 15s + 1ms, 0, 0).stop);
    EXPECT_EQ(life.exit_code(), 3);
}

TEST(Lifecycle, DoesNotWaitForEverForTheFarewell) {
    Lifecycle life(limits(0s, 10s));
    life.on_signal(kStart, 1);
    life.advance(kStart + 10s, 1, 1);
    EXPECT_TRUE(nothing(life.advance(kStart + 10s + 1s, 1, 1)));
    EXPECT_TRUE(life.advance(kStart + 10s + 3s, 1, 1).stop);
    EXPECT_EQ(life.exit_code(), 3);
}

TEST(Lifecycle, CutsNothingWhenOnlyIdleConnectionsAreLeftAtTheDeadline) {
    Lifecycle life(limits(0s, 10s));
    life.on_signal(kStart, 0);
    EXPECT_TRUE(life.advance(kStart + 10s, 0, 3).abort_requests);
    EXPECT_TRUE(life.advance(kStart + 11s, 0, 0).stop);
    EXPECT_EQ(life.exit_code(), 0);
}

TEST(Lifecycle, ASecondSignalAbortsFromEitherWaitingPhase) {
    for (const Duration pre_stop : {Duration(0s), Duration(5s)}) {
        Lifecycle life(limits(pre_stop, 600s));
        life.on_signal(kStart, 1);
        const auto actions = life.on_signal(kStart + 1s, 1);
        EXPECT_TRUE(actions.abort_requests && actions.stop_accepting && actions.drain_connections);
        EXPECT_FALSE(actions.stop);
        EXPECT_EQ(life.phase(), Phase::aborting);
        EXPECT_TRUE(nothing(life.on_signal(kStart + 1s, 1))) << "a third one adds nothing";
        EXPECT_TRUE(life.advance(kStart + 2s, 0, 0).stop);
        EXPECT_EQ(life.exit_code(), 3);
    }
}

TEST(Lifecycle, AnAdminsDrainMakesItUnreadyAndCanBeTakenBack) {
    Lifecycle life(limits(0s, 10s));
    EXPECT_TRUE(life.set_drained(true));
    EXPECT_FALSE(life.is_ready());
    EXPECT_FALSE(life.is_stopping());
    EXPECT_EQ(life.phase(), Phase::serving);
    EXPECT_TRUE(life.set_drained(false));
    EXPECT_TRUE(life.is_ready());
    life.on_signal(kStart, 0);
    EXPECT_FALSE(life.set_drained(false)) << "too late";
    EXPECT_FALSE(life.is_ready());
}

TEST(Lifecycle, TakesLimitsThatAReloadChangedBeforeTheSignal) {
    Lifecycle life(limits(0s, 600s));
    life.set_limits(limits(0s, 1s));
    life.on_signal(kStart, 1);
    EXPECT_TRUE(life.advance(kStart + 1s, 1, 1).abort_requests);
}

}  // namespace
}  // namespace millrace::gateway
