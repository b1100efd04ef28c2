// A worker's loop on a clock that the test moves, and coroutines as values: start one, let the loop
// turn until it has ended, look at its result. Thread-safety: none.
#pragma once

#include <gtest/gtest.h>

#include <exception>
#include <memory>
#include <optional>
#include <utility>

#include "gateway/runtime/abort_signal.hpp"
#include "gateway/runtime/loop.hpp"
#include "gateway/runtime/task.hpp"
#include "gateway/upstream/pool.hpp"
#include "tests/support/deadline.hpp"
#include "tests/support/manual_clock.hpp"

namespace millrace::gateway::testing_support {

/// The result of a coroutine that was started.
template <class T>
class Pending {
public:
    explicit Pending(Task<T> task) {
        spawn(keep(std::move(task), state_), [state = state_](const std::exception_ptr& failure) {
            EXPECT_FALSE(failure);
            state->done = true;
        });
    }
    bool done() const { return state_->done; }
    /// Only when done.
    T take() { return std::move(*state_->value); }

private:
    struct State {
        std::optional<T> value;
        bool done = false;
    };
    static Task<> keep(Task<T> task, std::shared_ptr<State> state) {
        state->value.emplace(co_await std::move(task));
    }
    std::shared_ptr<State> state_ = std::make_shared<State>();
};

/// Lets a loop turn on the test's thread.
class Turns {
public:
    /// All outlive it, and may be constructed after it.
    Turns(test::ManualClock& clock, Loop& loop, AbortSignal& abort)
        : clock_(clock), loop_(loop), abort_(abort) {}

    /// Turns until `condition()`; false when it did not come about.
    template <class Condition>
    bool turn_until(Condition condition) {
        const test::Deadline deadline(test::kPatience);
        while (!condition()) {
            if (deadline.passed()) {
                return false;
            }
            loop_.turn(std::chrono::milliseconds(2));
        }
        return true;
    }
    /// Some turns in which whatever can happen at once happens.
    void settle() {
        for (int i = 0; i < 5; ++i) {
            loop_.turn(std::chrono::milliseconds(1));
        }
    }
    /// Time passes, and its timers fire.
    void pass(Duration time) {
        clock_.advance(time);
        settle();
    }
    template <class T>
    T finish(Pending<T>& pending) {
        if (!turn_until([&pending] { return pending.done(); })) {
            ADD_FAILURE() << "the coroutine still waits";
            abort_.fire(AbortReason::drain_deadline);
            settle();
        }
        return pending.take();
    }
    template <class T>
    T run(Task<T> task) {
        Pending<T> pending(std::move(task));
        return finish(pending);
    }

private:
    test::ManualClock& clock_;
    Loop& loop_;
    AbortSignal& abort_;
};

struct Rig : Turns {
    Rig() : Turns(clock, loop, abort) {}

    test::ManualClock clock;
    Loop loop{clock, 1, [](Duration) {}};
    UpstreamPool pool{loop};
    AbortSignal abort;
};

}  // namespace millrace::gateway::testing_support
