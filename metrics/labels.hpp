// Label values: the closed enums whose names appear as Prometheus labels and in the access log.
//
// Every label that is not a configured name (model, backend, tenant, route) comes from one of
// these, so the number of series is fixed by the configuration and never by what a client sends.
// `kCount` is last and not a value. Thread-safety: plain values and constexpr tables.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "config/base/error.hpp"
#include "metrics/tokens/usage.hpp"

namespace millrace::metrics {

/// How a request ended, seen from the client.
enum class Outcome : std::uint8_t {
    completed,      ///< the client got the whole answer of the backend, whatever its status
    client_closed,  ///< the client went away, or did not read, before the end
    refused,        ///< we said no before anything was sent upstream
    backend_error,  ///< the backend could not be reached, broke the protocol or reported an error
                    ///< in a stream
    truncated,      ///< the backend's answer ended before its framing said so, after the commit
    timeout,        ///< one of our limits on the backend's time passed
    drained,        ///< the drain deadline ended it
    internal,       ///< a bug of ours
    kCount
};

/// How one attempt at one endpoint ended.
enum class AttemptOutcome : std::uint8_t {
    ok,               ///< a whole 2xx-4xx answer other than 429
    connect_failed,   ///< refused, unreachable, TLS failure
    connect_timeout,  ///< no connection in time
    closed,           ///< connection ended before a response head
    bad_response,     ///< the answer broke the wire's rules
    error_status,     ///< 429 or 5xx
    error_event,      ///< an error inside a 200 stream
    truncated,        ///< the body ended early
    timeout,          ///< first byte, first token, idle or total limit
    client_closed,    ///< cancelled because the client left
    drained,          ///< cancelled by the drain deadline
    internal,         ///< cancelled by a bug of ours
    superseded,       ///< cancelled because another attempt of the request answered first
    kCount
};

/// Why another attempt followed.
enum class RetryReason : std::uint8_t {
    connect_failed,     ///< nothing was sent
    stale_connection,   ///< a reused connection was closed before the first response byte
    before_first_byte,  ///< the backend failed before anything was relayed
    error_status,       ///< the backend answered 429, 502, 503 or 504
    usage_option,       ///< the backend refused an injected usage option; sent again without it
    continuation,       ///< the backend failed in the middle of a stream that another went on with
    kCount
};

/// Why a request left its pool for a fallback of its model.
enum class FallbackReason : std::uint8_t {
    connect_failed,  ///< refused, unreachable or not connected in time
    failed,        ///< the backend broke off or broke the wire's rules before anything was relayed
    timeout,       ///< it was silent for too long
    error_status,  ///< it answered 429, 502, 503 or 504
    queue,         ///< the queue was full, or the wait in it too long, or a higher priority came
    unready,       ///< no endpoint was ready
    overflow,      ///< the wait would have been too long
    kCount
};

/// What became of a second attempt.
enum class HedgeOutcome : std::uint8_t { won, lost, kCount };

/// What became of a request's copy.
enum class MirrorOutcome : std::uint8_t {
    ok,            ///< a whole 2xx-4xx answer other than 429
    error_status,  ///< 429 or 5xx
    failed,        ///< no whole answer
    dropped,       ///< not sent: no free slot, no memory, or too many copies already
    kCount
};

/// Kinds overlap on purpose: cached is a part of prompt, reasoning a part of completion.
enum class TokenKind : std::uint8_t { prompt, cached, completion, reasoning, kCount };

/// What the first response byte to the client was.
enum class Commit : std::uint8_t { none, first_byte, heartbeat, kCount };

enum class ConnectionKind : std::uint8_t { fresh, reused, kCount };
enum class HandshakeResult : std::uint8_t { ok, failed, timeout, kCount };
enum class ReloadResult : std::uint8_t { success, failure, kCount };

template <class Enum>
inline constexpr std::size_t kCountOf = static_cast<std::size_t>(Enum::kCount);

inline constexpr std::array<std::string_view, kCountOf<Outcome>> kOutcomeNames{
    "completed", "client_closed", "refused", "backend_error",
    "truncated", "timeout",       "drained", "internal"};
inline constexpr std::array<std::string_view, kCountOf<AttemptOutcome>> kAttemptOutcomeNames{
    "ok",           "connect_failed", "connect_timeout", "closed",  "bad_response",
    "error_status", "error_event",    "truncated",       "timeout", "client_closed",
    "drained",      "internal",       "superseded"};
inline constexpr std::array<std::string_view, kCountOf<RetryReason>> kRetryReasonNames{
    "connect_failed", "stale_connection", "before_first_byte",
    "error_status",   "usage_option",     "continuation"};
inline constexpr std::array<std::string_view, kCountOf<FallbackReason>> kFallbackReasonNames{
    "connect_failed", "failed", "timeout", "error_status", "queue", "unready", "overflow"};
inline constexpr std::array<std::string_view, kCountOf<HedgeOutcome>> kHedgeOutcomeNames{"won",
                                                                                         "lost"};
inline constexpr std::array<std::string_view, kCountOf<MirrorOutcome>> kMirrorOutcomeNames{
    "ok", "error_status", "failed", "dropped"};
inline constexpr std::array<std::string_view, kCountOf<TokenKind>> kTokenKindNames{
    "prompt", "cached", "completion", "reasoning"};
/// What a settlement rests on: `none` when nothing reached a backend, then metrics::Exactness.
inline constexpr std::array<std::string_view, 4> kExactnessNames{"none", "exact", "partial",
                                                                 "estimated"};
inline constexpr std::array<std::string_view, kCountOf<Commit>> kCommitNames{"none", "first_byte",
                                                                             "heartbeat"};
inline constexpr std::array<std::string_view, kCountOf<ConnectionKind>> kConnectionKindNames{
    "new", "reused"};
inline constexpr std::array<std::string_view, kCountOf<HandshakeResult>> kHandshakeResultNames{
    "ok", "failed", "timeout"};
inline constexpr std::array<std::string_view, kCountOf<ReloadResult>> kReloadResultNames{"success",
                                                                                         "failure"};
/// Status classes of upstream answers, indexed by status / 100 - 1.
inline constexpr std::array<std::string_view, 5> kStatusClassNames{"1xx", "2xx", "3xx", "4xx",
                                                                   "5xx"};

/// Position of an enumerator in the arrays above and in the slots.
template <class Enum>
constexpr std::size_t index_of(Enum value) {
    return static_cast<std::size_t>(value);
}

constexpr std::size_t exactness_index(std::optional<Exactness> exactness) {
    return exactness ? index_of(*exactness) + 1 : 0;
}
static_assert(exactness_index(Exactness::exact) == 1 && exactness_index(Exactness::partial) == 2 &&
              exactness_index(Exactness::estimated) == 3);

constexpr std::string_view to_string(Outcome v) {
    return kOutcomeNames[index_of(v)];
}
constexpr std::string_view to_string(AttemptOutcome v) {
    return kAttemptOutcomeNames[index_of(v)];
}
constexpr std::string_view to_string(RetryReason v) {
    return kRetryReasonNames[index_of(v)];
}
constexpr std::string_view to_string(TokenKind v) {
    return kTokenKindNames[index_of(v)];
}
constexpr std::string_view to_string(FallbackReason v) {
    return kFallbackReasonNames[index_of(v)];
}
constexpr std::string_view to_string(Commit v) {
    return kCommitNames[index_of(v)];
}

/// Why a request left its pool that would have ended with `code` there.
FallbackReason fallback_reason_of(Errc code);

/// The outcome of a request that ended with `code`; `completed` has no code.
Outcome outcome_of(Errc code);

}  // namespace millrace::metrics
