// Times to first token of one endpoint as a histogram of atomics, for its learned concurrency.
//
// Times are prompt-normalised: a prompt of 30 000 tokens takes longer than one of 30 because of its
// length, not because the backend is busy, and a change of the mix must not look like a change of
// the load. Prefill is close to linear in the prompt, with a constant part (scheduling, the step
// that is running, the network), so
//
//   normalised = time * (kConstantTokens + kReferenceTokens) / (kConstantTokens + prompt tokens)
//
// is the time that a prompt of kReferenceTokens would have taken. The constant part is a round
// figure for one engine step; it matters little, because only ratios of normalised times are used,
// and it keeps a tiny prompt that had to wait from counting more than threefold. The attention's
// quadratic part is left out: it shows above some ten thousand tokens only, and makes such prompts
// look slower than they are, which errs to the safe side. Tokens may be an estimate: a constant
// factor cancels. Thread-safety: observe() from any thread (one relaxed increment); take() from
// one.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "config/base/clock.hpp"

namespace millrace::routing {

inline constexpr std::uint64_t kConstantTokens = 512;
inline constexpr std::uint64_t kReferenceTokens = 1024;

/// `first_token` is from dispatch to the first content token.
Duration normalised_ttft(Duration first_token, std::uint64_t prompt_tokens);

class TtftSketch {
public:
    /// Fewer say too little about the 90th percentile.
    static constexpr std::uint32_t kMinSamples = 20;
    /// Samples that did not become enough within this are dropped: they are about another time.
    static constexpr Duration kMaxAge = std::chrono::seconds(10);

    void observe(Duration normalised) noexcept {
        buckets_[bucket_of(normalised)].fetch_add(1, std::memory_order_relaxed);
    }

    /// The 90th percentile (to 7 %) of what was observed since the last result, or nothing yet.
    std::optional<Duration> take(Instant now);

private:
    // Eight buckets for each doubling of the time, from 0.5 ms to 18 minutes.
    static constexpr unsigned kUnitBits = 16;  // 65.536 us
    static constexpr unsigned kDoublings = 24;
    static constexpr std::size_t kBuckets = (kDoublings - 3) * std::size_t{8} + 8;

    static std::size_t bucket_of(Duration value) noexcept;
    static Duration middle_of(std::size_t bucket) noexcept;

    std::array<std::atomic<std::uint32_t>, kBuckets> buckets_{};
    Instant begun_{};  // take()'s only
};

}  // namespace millrace::routing
