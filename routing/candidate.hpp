// The vocabulary of choosing an endpoint: what is known of each candidate and of the request, in
// which order a route looks at it, and what came out. The caller takes one Candidate per endpoint
// that is neither draining nor ejected, at dispatch; `choose` (choice.hpp) decides over these
// values alone. Counts of our own are exact; what was scraped is advice and may be absent.
// Thread-safety: plain values.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace millrace::routing {

struct Candidate {
    std::uint64_t identity = 0;   ///< stable_hash of its URL: what session keys stick to
    std::uint32_t in_flight = 0;  ///< live leases: counted until the last byte
    std::uint32_t slots = 0;      ///< most leases at a time; 0 = unlimited
    /// Prompt tokens of our own requests there that have not produced a first token, without what
    /// was expected from its prefix cache.
    std::uint32_t queued_prompt_tokens = 0;
    std::uint32_t matched_tokens = 0;              ///< of this prompt, expected in its prefix cache
    std::optional<double> waiting = std::nullopt;  ///< scraped: requests in the engine's queue
    std::optional<double> running = std::nullopt;  ///< scraped: requests in the engine's batch
    std::optional<double> kv_usage = std::nullopt;  ///< scraped: 0..1
    double prefill_rate = 0;  ///< tokens/s, EndpointSpeed's; 0 = nothing learned
    double service = 0;       ///< seconds per request, EndpointSpeed's; 0 = nothing learned
    /// Slow start: the share of ordinary load it should have, 0..1. It leans and never excludes;
    /// what must prove itself one request at a time is bounded by `slots`.
    float admission = 1;
    bool has_adapter = false;  ///< holds the request's LoRA adapter
    bool avoid = false;        ///< just failed this request: only when nothing else has room
};

inline bool has_room(const Candidate& candidate) {
    return candidate.slots == 0 || candidate.in_flight < candidate.slots;
}

/// `admission`, kept above the point where a load divided by it means nothing.
inline double admission_share(const Candidate& candidate) {
    return std::clamp(static_cast<double>(candidate.admission), 1.0 / 64, 1.0);
}

/// Requests in flight if it got this one, as they would feel to an endpoint at full admission.
inline double relative_load(const Candidate& candidate) {
    return (static_cast<double>(candidate.in_flight) + 1) / admission_share(candidate);
}

struct PickRequest {
    std::uint32_t prompt_tokens = 1;                          ///< estimate
    std::optional<std::uint64_t> session_key = std::nullopt;  ///< stable_hash of the session's name
    bool wants_adapter = false;
};

/// What a policy looks at. A stage that has nothing to say leaves the choice to the next one.
enum class Stage : std::uint8_t {
    lora_affinity,     ///< keeps those that hold the adapter, if the guard admits any of them
    session_affinity,  ///< decides if there is a session key
    prefix_affinity,   ///< decides by what the prompt costs there if any prefix matched
    load_aware,        ///< decides by predicted time to first token
    least_pending,     ///< decides by requests in flight
};

/// Stages in order, then least_pending. Plain data, one per route.
struct Policy {
    std::vector<Stage> stages = {};
    /// How far above its fair share of the load an endpoint may be pushed by affinity; >= 1,
    /// infinity = no guard.
    double guard = 1.5;
};

/// Why an endpoint was chosen.
enum class Reason : std::uint8_t {
    only_one,          ///< no other had room
    least_pending,     ///< fewest in flight
    load_aware,        ///< shortest predicted time to first token
    prefix_affinity,   ///< least cost of the prompt, thanks to its prefix cache
    session_affinity,  ///< the session's own
    lora_affinity,     ///< best of those that hold the adapter
    guard_overflow,    ///< affinity wanted another that was full or above its share of the load
};

/// Stable short name, for headers, logs and labels.
std::string_view to_string(Reason reason);
/// The same in words, for an explanation.
std::string_view sentence_of(Reason reason);

struct Choice {
    std::uint32_t index = 0;  ///< into the candidates
    Reason reason = Reason::least_pending;
    bool operator==(const Choice&) const = default;
};

}  // namespace millrace::routing
