#include "gateway/runtime/abort_signal.hpp"

#include <gtest/gtest.h>

namespace millrace::gateway {
namespace {

void count(void* counter) {
    ++*static_cast<int*>(counter);
}

TEST(AbortSignal, TellsItsListenerOnceAndKeepsTheFirstReason) {
    AbortSignal signal;
    int calls = 0;
    const AbortSignal::Listener listener(signal, count, &calls);
    signal.fire(AbortReason::client_closed);
    signal.fire(AbortReason::drain_deadline);
    EXPECT_EQ(calls, 1);
    EXPECT_EQ(signal.reason(), AbortReason::client_closed);
}

TEST(AbortSignal, TellsAListenerThatComesTooLateAtOnce) {
    AbortSignal signal;
    signal.fire(AbortReason::drain_deadline);
    int calls = 0;
    const AbortSignal::Listener listener(signal, count, &calls);
    EXPECT_EQ(calls, 1);
}

TEST(AbortSignal, ForgetsAListenerAndCanBeReset) {
    AbortSignal signal;
    int calls = 0;
    {
        const AbortSignal::Listener listener(signal, count, &calls);
    }
    signal.fire(AbortReason::client_stalled);
    EXPECT_EQ(calls, 0);
    signal.reset();
    EXPECT_FALSE(signal);
}

TEST(AbortFork, PassesTheTrunksReasonToBothBranches) {
    AbortSignal trunk;
    AbortFork fork(trunk);
    trunk.fire(AbortReason::drain_deadline);
    EXPECT_EQ(fork.branch(0).reason(), AbortReason::drain_deadline);
    EXPECT_EQ(fork.branch(1).reason(), AbortReason::drain_deadline);
}

TEST(AbortFork, EndsOneBranchAloneUntilItIsRenewed) {
    AbortSignal trunk;
    AbortFork fork(trunk);
    fork.branch(1).fire(AbortReason::superseded);
    EXPECT_FALSE(fork.branch(0));
    EXPECT_FALSE(trunk);
    fork.renew();
    EXPECT_FALSE(fork.branch(1));
}

TEST(AbortFork, LearnsWithARenewalWhatItMissed) {
    AbortSignal trunk;
    AbortFork fork(trunk);
    {
        int calls = 0;
        const AbortSignal::Listener other(trunk, count, &calls);
        trunk.fire(AbortReason::client_closed);
    }
    EXPECT_FALSE(fork.branch(0)) << "somebody else was listening";
    fork.renew();
    EXPECT_EQ(fork.branch(0).reason(), AbortReason::client_closed);
}

}  // namespace
}  // namespace millrace::gateway
