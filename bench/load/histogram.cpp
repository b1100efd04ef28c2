#include "bench/load/histogram.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace millrace::load {

void Histogram::record(Duration value) {
    const auto ns = static_cast<std::uint64_t>(std::max<Duration::rep>(0, value.count()));
    const auto width = static_cast<unsigned>(std::bit_width(ns));
    const unsigned shift = width > kBits + 1 ? width - kBits - 1 : 0;
    ++buckets_[(std::size_t{shift} << kBits) + (ns >> shift)];
    ++count_;
    sum_ += ns;
    max_ = std::max(max_, ns);
}

Duration Histogram::mean() const {
    return Duration(static_cast<Duration::rep>(count_ == 0 ? 0 : sum_ / count_));
}

Duration Histogram::percentile(double q) const {
    const auto rank = static_cast<std::uint64_t>(
        std::ceil(std::clamp(q, 0.0, 1.0) * static_cast<double>(count_)));
    std::uint64_t below = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
        below += buckets_[i];
        if (below >= std::max<std::uint64_t>(1, rank)) {
            // Buckets 0 to 255 hold one value each; above, index = shift * 128 + (128..255).
            const std::size_t shift = i < (2U << kBits) ? 0 : (i >> kBits) - 1;
            const std::uint64_t low = (i - (shift << kBits)) << shift;
            return Duration(
                static_cast<Duration::rep>(std::min(max_, low + (std::uint64_t{1} << shift) - 1)));
        }
    }
    return Duration::zero();
}

}  // namespace millrace::load
