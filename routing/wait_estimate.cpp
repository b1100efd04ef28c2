#include "routing/wait_estimate.hpp"

#include <algorithm>
#include <cmath>

namespace millrace::routing {

void WaitEstimate::waiting(bool ready, Instant now) {
    const std::lock_guard lock(mutex_);
    if (ready) {
        unready_since_.reset();
    } else if (!unready_since_) {
        unready_since_ = now;
    }
}

void WaitEstimate::served(Instant now) {
    const std::lock_guard lock(mutex_);
    weight_ = weight_ * std::exp(-seconds(now - last_) / seconds(kWindow)) + 1;
    last_ = now;
    if (unready_since_) {
        cold_starts_[learned_++ % kRemembered] = now - *unready_since_;
        unready_since_.reset();
    }
}

double WaitEstimate::rate(Instant now) const {
    return weight_ * std::exp(-seconds(now - last_) / seconds(kWindow)) / seconds(kWindow);
}

Duration WaitEstimate::cold_start() const {
    if (learned_ == 0) {
        return kUnknownColdStart;
    }
    auto sorted = cold_starts_;
    const auto end = sorted.begin() + static_cast<std::ptrdiff_t>(std::min(learned_, kRemembered));
    std::sort(sorted.begin(), end);
    return sorted[static_cast<std::size_t>(end - sorted.begin()) / 2];
}

Duration WaitEstimate::until_served(std::size_t ahead, bool ready, Instant now) const {
    const std::lock_guard lock(mutex_);
    const double per_second = rate(now);
    // Less than a request a minute is no rate to extrapolate from.
    const auto busy = per_second < 1.0 / 60
                          ? kUnknownService
                          : std::chrono::duration_cast<Duration>(std::chrono::duration<double>(
                                std::min(static_cast<double>(ahead + 1) / per_second, 3'600.0)));
    if (ready) {
        return busy;
    }
    const auto passed = unready_since_ ? now - *unready_since_ : Duration(0);
    return std::max<Duration>(cold_start() - passed, std::chrono::seconds(1));
}

std::chrono::milliseconds retry_after(Duration estimate, Random& random) {
    using std::chrono::milliseconds;
    const auto base = std::clamp(std::chrono::duration_cast<milliseconds>(estimate),
                                 milliseconds(1'000), milliseconds(40'000));
    return base + milliseconds(random.below(static_cast<std::uint32_t>(base.count() / 2) + 1));
}

}  // namespace millrace::routing
