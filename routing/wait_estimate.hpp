// WaitEstimate: how long a request will probably wait for an endpoint of a pool, and what to tell a
// client that is refused.
//
// While endpoints are busy: the place in line divided by the rate at which waiters were served
// lately. While none is ready: what is left of the usual cold start, learned as the median of the
// last times from the first demand without a ready endpoint to the first request served.
// Thread-safety: any thread; a lock that only requests that wait touch.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>

#include "config/base/clock.hpp"
#include "config/base/random.hpp"

namespace millrace::routing {

class WaitEstimate {
public:
    /// Before anything was learned.
    static constexpr Duration kUnknownColdStart = std::chrono::seconds(30);
    static constexpr Duration kUnknownService = std::chrono::seconds(2);

    /// Somebody began to wait; `ready`: for busy endpoints, not for one to appear.
    void waiting(bool ready, Instant now);
    /// A waiter got its endpoint.
    void served(Instant now);

    /// For the one with `ahead` others before it.
    Duration until_served(std::size_t ahead, bool ready, Instant now) const;

private:
    static constexpr Duration kWindow = std::chrono::seconds(30);
    static constexpr std::size_t kRemembered = 5;

    double rate(Instant now) const;
    Duration cold_start() const;

    mutable std::mutex mutex_;
    double weight_ = 0;  // of recent services: each counts 1, fading with kWindow
    Instant last_{};
    std::optional<Instant> unready_since_;
    std::array<Duration, kRemembered> cold_starts_{};
    std::size_t learned_ = 0;
};

/// A value for Retry-After: the estimate, up to half as much again at random so that what was
/// refused together does not come back together; 1 to 60 s, because SDKs ignore more.
std::chrono::milliseconds retry_after(Duration estimate, Random& random);

}  // namespace millrace::routing
