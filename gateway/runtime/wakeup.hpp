// Wakeup: lets one coroutine wait until something calls notify(): a timer, an abort, a posted
// function.
//
// Several notifications before the coroutine looks are one; one that comes while it does not wait
// ends the next wait at once. The coroutine looks for itself at what has happened. Lifetime: it
// must not be destroyed while a coroutine waits. Thread-safety: none; one worker.
#pragma once

#include <coroutine>
#include <utility>

#include "gateway/runtime/abort_signal.hpp"
#include "gateway/runtime/loop.hpp"
#include "gateway/runtime/task.hpp"
#include "gateway/runtime/timer_wheel.hpp"

namespace millrace::gateway {

class Wakeup {
public:
    Wakeup() = default;
    Wakeup(const Wakeup&) = delete;
    Wakeup& operator=(const Wakeup&) = delete;
    ~Wakeup() = default;

    /// In the form that Timer and AbortSignal::Listener call.
    static void notify(void* self) {
        auto& wakeup = *static_cast<Wakeup*>(self);
        wakeup.notified_ = true;
        if (const auto waiting = std::exchange(wakeup.waiting_, nullptr)) {
            waiting.resume();
        }
    }

    /// Awaits the next notification.
    auto next() {
        struct Awaiter {
            Wakeup& wakeup;
            bool await_ready() const noexcept { return wakeup.notified_; }
            void await_suspend(std::coroutine_handle<> self) const noexcept {
                wakeup.waiting_ = self;
            }
            void await_resume() const noexcept { wakeup.notified_ = false; }
        };
        return Awaiter{*this};
    }

private:
    std::coroutine_handle<> waiting_;
    bool notified_ = false;
};

/// Waits for `duration`, or until the request is aborted.
inline Task<void> pause(Loop& loop, AbortSignal& abort, Duration duration) {
    Wakeup wakeup;
    Timer timer(Wakeup::notify, &wakeup);
    const AbortSignal::Listener listener(abort, Wakeup::notify, &wakeup);
    loop.arm(timer, loop.now() + duration);
    co_await wakeup.next();
}

}  // namespace millrace::gateway
