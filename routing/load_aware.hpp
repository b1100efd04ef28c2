// Which endpoint will produce the first token soonest.
//
// Predicted time to first token = wait + own prefill + memory pressure, in seconds:
//   wait       the longer of two views of the same queue: our prompt tokens ahead / prefill rate,
//              and the engine's waiting requests * the interval at which its requests end;
//   prefill    (tokens of this prompt that it does not have cached + 16 per request in flight,
//              which slow each iteration down) / prefill rate;
//   pressure   KV cache above 80 %: up to one more end of a request to wait for.
// Without scrapes the first view and the prefill remain, which are exact counts of ours. An
// endpoint of which nothing is learned is taken for an average one of its pool; if nothing is
// learned of any, priors serve, and only the order matters. Thread-safety: pure values; who stores
// an EndpointSpeed guards it.
#pragma once

#include <cstdint>
#include <span>

#include "config/base/clock.hpp"
#include "routing/candidate.hpp"

namespace millrace::routing {

inline constexpr double kPriorPrefillRate = 8000;  ///< tokens/s: a 8B model on one A100
inline constexpr double kPriorService = 4;         ///< seconds

/// What was learned of one endpoint. Sums of tokens and seconds, both discounted per observation,
/// so that their ratio weighs a long prompt more than a short one, whose time is mostly not
/// prefill.
struct EndpointSpeed {
    double tokens = 0;
    double seconds = 0;
    double service = 0;  ///< seconds per request, moving average; 0 = nothing learned

    /// Tokens per second; 0 = nothing learned.
    double prefill_rate() const { return seconds > 0 ? tokens / seconds : 0; }
};

/// After a first token that came `ttft` after dispatch. `tokens` is the work that stood before it:
/// the prompt's uncached tokens and the queued_prompt_tokens at dispatch; 0 teaches nothing.
[[nodiscard]] EndpointSpeed after_first_token(EndpointSpeed speed, std::uint64_t tokens,
                                              Duration ttft);
/// After a complete answer, `took` after its dispatch.
[[nodiscard]] EndpointSpeed after_request(EndpointSpeed speed, Duration took);

/// An average endpoint of a pool.
struct PoolSpeed {
    double prefill_rate = kPriorPrefillRate;
    double service = kPriorService;
};

PoolSpeed pool_speed(std::span<const Candidate> candidates);

/// Seconds, stretched by slow start: a figure to compare candidates by. What was learned is
/// believed within a factor of four of the pool's average, which bounds what one wrong estimate
/// can do and leaves every endpoint enough traffic to be measured again.
double predicted_ttft(const Candidate& candidate, std::uint32_t prompt_tokens,
                      const PoolSpeed& pool);

/// predicted_ttft plus what the prompt costs all others: a token that is computed again delays
/// everybody who comes after it, so what is not cached weighs kSharedCost times more than its own
/// time. With that weight conversations stay where their prompt is for as long as the load guard
/// lets them, and a long queue still outweighs a short match.
inline constexpr double kSharedCost = 16;
double placement_cost(const Candidate& candidate, std::uint32_t prompt_tokens,
                      const PoolSpeed& pool);

}  // namespace millrace::routing
