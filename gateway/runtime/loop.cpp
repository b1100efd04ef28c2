#include "gateway/runtime/loop.hpp"

#include <algorithm>
#include <utility>

namespace millrace::gateway {

Loop::Loop(const Clock& clock, std::uint64_t seed, std::function<void(Duration)> on_lag)
    : clock_(clock),
      on_lag_(std::move(on_lag)),
      random_(seed),
      wheel_(clock.now()),
      recent_(clock.now()),
      next_tick_(recent_) {}

void Loop::run() {
    while (!stopped_.load(std::memory_order_relaxed)) {
        turn(std::chrono::hours(1));
    }
}

void Loop::stop() {
    stopped_.store(true, std::memory_order_relaxed);
    poller_.wake();
}

void Loop::turn(Duration limit) {
    if (!wheel_.empty()) {
        limit = std::clamp(next_tick_ - recent_, Duration(0), limit);
    } else if (tick_lag_ + probe_lag_ > Duration(0)) {
        tick_lag_ = probe_lag_ = Duration(0);
        publish_lag();
    }
    const bool woken = poller_.wait(limit);
    now();
    if (woken && std::exchange(probing_, false) && !wheel_.empty()) {
        probe_lag_ = recent_ - (next_probe_ - kProbe);
        on_lag_(probe_lag_);
        publish_lag();
    }
    poller_.dispatch();
    if (woken) {
        context_.poll();
    }
    if (!wheel_.empty() && recent_ >= next_tick_) {
        tick();
    }
}

void Loop::arm(Timer& timer, Instant deadline) {
    if (wheel_.empty()) {
        wheel_.advance(now());  // the wheel's time stood still while it was empty
        next_tick_ = recent_ + TimerWheel::kTick;
    }
    wheel_.arm(timer, deadline);
}

void Loop::tick() {
    const Instant time = now();
    tick_lag_ = time - next_tick_;
    on_lag_(tick_lag_);
    publish_lag();
    wheel_.advance(time);
    next_tick_ = now() + TimerWheel::kTick;
    if (!probing_ && !wheel_.empty() && recent_ >= next_probe_) {
        probing_ = true;
        next_probe_ = recent_ + kProbe;
        poller_.wake();
    }
}

void Loop::publish_lag() {
    lag_.store(std::max(tick_lag_, probe_lag_).count(), std::memory_order_relaxed);
}

}  // namespace millrace::gateway
