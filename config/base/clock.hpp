// Time is an argument. Pure code takes `Instant` (and `WallTime` where calendars matter); only
// gateway owns a Clock.
#pragma once

#include <chrono>

namespace millrace {

using Duration = std::chrono::nanoseconds;
using Instant = std::chrono::steady_clock::time_point;  ///< monotonic; for intervals, timers, rates
using WallTime = std::chrono::system_clock::time_point;  ///< for logs and calendars only

/// Port: a source of time. Thread-safe.
class Clock {
public:
    Clock() = default;
    Clock(const Clock&) = delete;
    Clock& operator=(const Clock&) = delete;
    virtual ~Clock() = default;
    virtual Instant now() const = 0;
    virtual WallTime wall() const = 0;
};

class SystemClock final : public Clock {
public:
    Instant now() const override { return std::chrono::steady_clock::now(); }
    WallTime wall() const override { return std::chrono::system_clock::now(); }
};

/// Seconds as a double, for metrics and messages.
constexpr double seconds(Duration d) {
    return std::chrono::duration<double>(d).count();
}

}  // namespace millrace
