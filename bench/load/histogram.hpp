// Latencies in log-linear buckets, as HdrHistogram does it: 128 buckets per power of two, so a
// percentile is at most 0.8 % too high and recording is two shifts and an increment. Values are
// nanoseconds. Thread-safety: none.
#pragma once

#include <array>
#include <cstdint>

#include "config/base/clock.hpp"

namespace millrace::load {

class Histogram {
public:
    /// Negative values count as 0.
    void record(Duration value);

    std::uint64_t count() const { return count_; }
    Duration max() const { return Duration(static_cast<Duration::rep>(max_)); }
    Duration mean() const;

    /// The upper end of the bucket below which the fraction `q` (0..1) of the values lies; 0 when
    /// empty.
    Duration percentile(double q) const;

private:
    static constexpr unsigned kBits = 7;
    static constexpr std::size_t kBuckets = (64 - kBits + 1) << kBits;

    std::array<std::uint64_t, kBuckets> buckets_{};
    std::uint64_t count_ = 0;
    std::uint64_t sum_ = 0;
    std::uint64_t max_ = 0;
};

}  // namespace millrace::load
