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

}  // namespace
}  // namespace millrace::gateway
