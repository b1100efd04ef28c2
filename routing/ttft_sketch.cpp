#include "routing/ttft_sketch.hpp"

#include <algorithm>
#include <bit>

namespace millrace::routing {

Duration normalised_ttft(Duration first_token, std::uint64_t prompt_tokens) {
    return std::chrono::duration_cast<Duration>(
        first_token *
        (static_cast<double>(kConstantTokens + kReferenceTokens) /
         (static_cast<double>(kConstantTokens) + static_cast<double>(prompt_tokens))));
}

// Below 8 units one bucket per unit; above, the three bits after the highest one.
std::size_t TtftSketch::bucket_of(Duration value) noexcept {
    constexpr std::uint64_t kLargest = (std::uint64_t{1} << kDoublings) - 1;
    const auto ns = static_cast<std::uint64_t>(std::max<Duration::rep>(0, value.count()));
    const auto units = std::min(ns >> kUnitBits, kLargest);
    if (units < 8) {
        return static_cast<std::size_t>(units);
    }
    const auto shift = static_cast<std::uint64_t>(std::bit_width(units)) - 4;
    return static_cast<std::size_t>(shift * 8 + (units >> shift));
}

Duration TtftSketch::middle_of(std::size_t bucket) noexcept {
    const auto shift = bucket < 16 ? 0U : static_cast<unsigned>(bucket / 8 - 1);
    const auto lowest = std::uint64_t{bucket - shift * std::size_t{8}} << (shift + kUnitBits);
    const auto width = std::uint64_t{1} << (shift + kUnitBits);
    return Duration(static_cast<Duration::rep>(lowest + width / 2));
}

std::optional<Duration> TtftSketch::take(Instant now) {
    std::uint64_t total = 0;
    for (const auto& bucket : buckets_) {
        total += bucket.load(std::memory_order_relaxed);
    }
    if (total < kMinSamples && now - begun_ < kMaxAge) {
        return std::nullopt;
    }
    begun_ = now;
    // What arrives meanwhile belongs to this result or to the next one, and to no third.
    std::array<std::uint32_t, kBuckets> taken{};
    total = 0;
    for (std::size_t i = 0; i < kBuckets; ++i) {
        taken[i] = buckets_[i].exchange(0, std::memory_order_relaxed);
        total += taken[i];
    }
    if (total < kMinSamples) {
        return std::nullopt;
    }
    auto above = total / 10;  // samples that may lie above the percentile
    std::size_t bucket = kBuckets - 1;
    while (taken[bucket] <= above) {
        above -= taken[bucket];
        --bucket;
    }
    return middle_of(bucket);
}

}  // namespace millrace::routing
