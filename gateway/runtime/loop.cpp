#include "gateway/runtime/loop.hpp"

#include <boost/asio/executor_work_guard.hpp>

namespace millrace::gateway {

Loop::Loop(const Clock& clock, std::uint64_t seed, std::function<void(Duration)> on_lag)
    : clock_(clock), on_lag_(std::move(on_lag)), random_(seed), wheel_(clock.now()) {}

void Loop::run() {
    const auto work = boost::asio::make_work_guard(context_);
    context_.run();
}

void Loop::arm(Timer& timer, Instant deadline) {
    if (wheel_.empty()) {
        wheel_.advance(now());  // the wheel's time stood still while it was empty
    }
    wheel_.arm(timer, deadline);
    if (!ticking_) {
        ticking_ = true;
        schedule_tick();
    }
}

void Loop::schedule_tick() {
    const Instant due = now() + TimerWheel::kTick;
    ticker_.expires_at(due);
    ticker_.async_wait([this, due](boost::system::error_code error) {
        if (error) {
            return;
        }
        const Instant time = now();
        on_lag_(time - due);
        wheel_.advance(time);
        if (wheel_.empty()) {
            ticking_ = false;
        } else {
            schedule_tick();
        }
    });
}

}  // namespace millrace::gateway
