#include "routing/hedge.hpp"

#include <algorithm>
#include <cmath>

namespace millrace::routing {

void FirstTokenP95::observe(Duration first_token) noexcept {
    const auto samples = samples_.fetch_add(1, std::memory_order_relaxed);
    const double sample = std::max(seconds(first_token), 1e-6);
    if (samples == 0) {
        seconds_.store(sample, std::memory_order_relaxed);
        return;
    }
    const double estimate = seconds_.load(std::memory_order_relaxed);
    if (estimate <= 0) {  // the first sample is on its way
        return;
    }
    // Steps shrink while it approaches, and stay large enough to follow a change.
    const double step = std::max(0.05, 2.0 / std::sqrt(static_cast<double>(samples)));
    const double moved = sample > estimate ? 0.95 * step : -0.05 * step;
    seconds_.store(estimate * std::exp(moved), std::memory_order_relaxed);
}

std::optional<Duration> FirstTokenP95::value() const noexcept {
    if (samples_.load(std::memory_order_relaxed) < kMinSamples) {
        return std::nullopt;
    }
    return std::chrono::duration_cast<Duration>(
        std::chrono::duration<double>(seconds_.load(std::memory_order_relaxed)));
}

std::optional<Duration> hedge_delay(const config::Hedge& policy, const FirstTokenP95& learned) {
    const auto delay = policy.after > Duration(0) ? std::optional(policy.after) : learned.value();
    return delay ? std::optional(std::max(*delay, kLeastHedgeDelay)) : std::nullopt;
}

}  // namespace millrace::routing
