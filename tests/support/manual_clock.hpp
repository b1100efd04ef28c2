// A clock that stands still until a test moves it, so that hours of policy run in microseconds.
// Thread-safety: none; the test that owns it moves it. Wall time starts at a fixed date and moves
// with it.
#pragma once

#include "config/base/clock.hpp"

namespace millrace::test {

class ManualClock final : public Clock {
public:
    Instant now() const override { return now_; }
    WallTime wall() const override { return wall_; }
    void advance(Duration d) {
        now_ += d;
        wall_ += std::chrono::duration_cast<WallTime::duration>(d);
    }

private:
    Instant now_{std::chrono::hours(1)};
    WallTime wall_{std::chrono::seconds(1'700'000'000)};
};

}  // namespace millrace::test
