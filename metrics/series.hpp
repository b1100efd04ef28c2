// The one table of every series that Millrace exposes: name, type, unit, meaning, labels, buckets.
//
// The exposition, docs/METRICS.md and register_gauge() all read it, so a series cannot exist
// undocumented. Labels hold configured names or the values of metrics/labels.hpp; a name the
// configuration does not know is `unknown`. Thread-safety: constants.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "metrics/histogram.hpp"

namespace millrace::metrics {

enum class SeriesType : std::uint8_t { counter, gauge, histogram };

/// Index into kSeries.
enum class Series : std::uint8_t {
    // Demand.
    queued_requests,
    in_flight_requests,
    pending_requests,
    load_requests,
    vllm_pending_requests,
    // Requests.
    requests_total,
    sdk_retries_total,
    commits_total,
    refusals_total,
    tokens_total,
    tenant_tokens_total,
    settlements_total,
    time_to_first_token_seconds,
    inter_token_seconds,
    request_duration_seconds,
    queue_wait_seconds,
    overhead_seconds,
    events_unread_total,
    fallbacks_total,
    hedges_total,
    // Backends.
    upstream_attempts_total,
    upstream_responses_total,
    upstream_connections_total,
    retries_total,
    unbilled_tokens_total,
    mirrored_requests_total,
    endpoints,
    rollout_weight_percent,
    rollout_phase,
    // Connections and memory.
    connections,
    connections_total,
    tls_handshakes_total,
    buffered_bytes,
    overload_step,
    // Configuration and the process.
    config_reloads_total,
    config_last_reload_success,
    config_generation,
    series_dropped_total,
    access_log_dropped_total,
    event_loop_lag_seconds,
    build_info,
    process_open_fds,
    process_resident_memory_bytes,
    process_cpu_seconds_total,
    process_start_time_seconds,
    kCount
};

inline constexpr std::size_t kSeriesCount = static_cast<std::size_t>(Series::kCount);

struct SeriesInfo {
    Series id;
    SeriesType type;
    std::string_view name;
    std::string_view unit;
    std::array<std::string_view, 3> label_names;  ///< unused ones are empty and last
    std::string_view help;
    std::span<const std::uint64_t> bounds_ns{};  ///< histograms only

    constexpr std::size_t label_count() const {
        std::size_t count = 0;
        while (count < label_names.size() && !label_names[count].empty()) {
            ++count;
        }
        return count;
    }
};

// clang-format off: one shape for every entry
inline constexpr std::array<SeriesInfo, kSeriesCount> kSeries{{
    {Series::queued_requests, SeriesType::gauge, "millrace_queued_requests",
     "requests", {"model", "variant"},
     "Requests admitted and not handed to an endpoint, held ones included."},
    {Series::in_flight_requests, SeriesType::gauge, "millrace_in_flight_requests",
     "attempts", {"model", "variant"},
     "Live attempts at an endpoint."},
    {Series::pending_requests, SeriesType::gauge, "millrace_pending_requests",
     "requests", {"model", "variant"},
     "Queued and in flight without a first content token (streams) or response head (others)."},
    {Series::load_requests, SeriesType::gauge, "millrace_load_requests",
     "requests", {"model", "variant"},
     "Queued plus in flight: the signal for concurrency-based scaling."},
    {Series::vllm_pending_requests, SeriesType::gauge, "vllm_pending_requests",
     "requests", {"namespace", "model"},
     "Pending requests per model under the name that existing KEDA manifests query. 0 while "
     "long streams decode, so pair it with a load trigger or minReplicaCount >= 1."},
    {Series::requests_total, SeriesType::counter, "millrace_requests_total",
     "requests", {"model", "variant", "outcome"},
     "Finished requests by outcome, repetitions by SDKs included."},
    {Series::sdk_retries_total, SeriesType::counter, "millrace_sdk_retries_total",
     "requests", {"model"},
     "Finished requests that an SDK sent again (x-stainless-retry-count > 0); subtract them "
     "from requests to see new demand."},
    {Series::commits_total, SeriesType::counter, "millrace_commits_total",
     "requests", {"model", "committed"},
     "Finished requests by what the first byte sent to the client was."},
    {Series::refusals_total, SeriesType::counter, "millrace_refusals_total", "answers", {"code"},
     "Requests and connections that ended with one of the gateway's error codes."},
    {Series::tokens_total, SeriesType::counter, "millrace_tokens_total",
     "tokens", {"model", "variant", "kind"},
     "Billed tokens. cached is a part of prompt, reasoning a part of completion."},
    {Series::tenant_tokens_total, SeriesType::counter, "millrace_tenant_tokens_total",
     "tokens", {"tenant", "model", "kind"},
     "Billed tokens by tenant; tenants over the cap share the name `other`."},
    {Series::settlements_total, SeriesType::counter, "millrace_settlements_total",
     "requests", {"model", "exactness"},
     "Settled requests by what their token counts rest on."},
    {Series::time_to_first_token_seconds, SeriesType::histogram,
     "millrace_time_to_first_token_seconds", "seconds", {"model", "variant"},
     "From the request's head to the first content token (streams) or response head (others).",
     kFirstTokenBounds},
    {Series::inter_token_seconds, SeriesType::histogram, "millrace_inter_token_seconds",
     "seconds", {"model", "variant"},
     "Between two content events of a stream.",
     kInterTokenBounds},
    {Series::request_duration_seconds, SeriesType::histogram, "millrace_request_duration_seconds",
     "seconds", {"model", "variant"},
     "From the request's head to its end, for requests that reached a backend.",
     kRequestBounds},
    {Series::queue_wait_seconds, SeriesType::histogram, "millrace_queue_wait_seconds",
     "seconds", {"model", "variant"},
     "From admission to the first attempt.",
     kQueueWaitBounds},
    {Series::overhead_seconds, SeriesType::histogram, "millrace_overhead_seconds",
     "seconds", {"model", "variant"},
     "The gateway's own share of a request's time.",
     kOverheadBounds},
    {Series::events_unread_total, SeriesType::counter, "millrace_events_unread_total", "events", {},
     "SSE events over the inspection limit that were passed on unread."},
    {Series::fallbacks_total, SeriesType::counter, "millrace_fallbacks_total",
     "requests", {"model", "variant", "reason"},
     "Requests that left this variant for a fallback of their model. All else counts for the "
     "variant that they came to."},
    {Series::hedges_total, SeriesType::counter, "millrace_hedges_total",
     "attempts", {"model", "variant", "outcome"},
     "Second attempts beside a first one that was late with its first token."},
    {Series::upstream_attempts_total, SeriesType::counter, "millrace_upstream_attempts_total",
     "attempts", {"backend", "outcome"},
     "Attempts at endpoints of a backend by outcome."},
    {Series::upstream_responses_total, SeriesType::counter, "millrace_upstream_responses_total",
     "responses", {"backend", "status"},
     "Response heads of a backend by status class, also when the client had been sent a "
     "heartbeat before."},
    {Series::upstream_connections_total, SeriesType::counter, "millrace_upstream_connections_total",
     "connections", {"backend", "kind"},
     "Connections used by attempts; reused / (new + reused) is the reuse rate."},
    {Series::retries_total, SeriesType::counter, "millrace_retries_total",
     "attempts", {"backend", "reason"},
     "Attempts that were followed by another one, by the backend that caused it."},
    {Series::unbilled_tokens_total, SeriesType::counter, "millrace_unbilled_tokens_total",
     "tokens", {"backend", "kind"},
     "Tokens that failed attempts are known to have produced; recorded, never billed."},
    {Series::mirrored_requests_total, SeriesType::counter, "millrace_mirrored_requests_total",
     "requests", {"model", "backend", "outcome"},
     "Copies of requests by what became of them; they count nowhere else."},
    {Series::endpoints, SeriesType::gauge, "millrace_endpoints", "endpoints", {"backend", "state"},
     "Endpoints of a backend by state (ready, draining, unhealthy, ejected, half_open)."},
    {Series::rollout_weight_percent, SeriesType::gauge, "millrace_rollout_weight_percent",
     "percent", {"model"},
     "The share of a rollout's canary."},
    {Series::rollout_phase, SeriesType::gauge, "millrace_rollout_phase",
     "boolean", {"model", "phase"},
     "1 for the phase that a rollout is in (waiting, running, paused, promoted, rolled_back, "
     "aborted), else 0."},
    {Series::connections, SeriesType::gauge, "millrace_connections", "connections", {},
     "Open client connections."},
    {Series::connections_total, SeriesType::counter, "millrace_connections_total",
     "connections", {},
     "Client connections accepted."},
    {Series::tls_handshakes_total, SeriesType::counter, "millrace_tls_handshakes_total",
     "handshakes", {"result"},
     "TLS handshakes with clients."},
    {Series::buffered_bytes, SeriesType::gauge, "millrace_buffered_bytes", "bytes", {},
     "Bytes leased from the process-wide byte budget (bodies, queued bodies, relay buffers)."},
    {Series::overload_step, SeriesType::gauge, "millrace_overload_step", "step", {},
     "What the process gives up at the moment: 0 nothing, 1 idle timeouts are shortened, 2 "
     "connections close after their answer, 3 requests are refused, 4 nothing is accepted."},
    {Series::config_reloads_total, SeriesType::counter, "millrace_config_reloads_total",
     "reloads", {"result"},
     "Configuration reloads."},
    {Series::config_last_reload_success, SeriesType::gauge, "millrace_config_last_reload_success",
     "boolean", {},
     "1 when the latest reload was accepted, 0 when the last good configuration was kept."},
    {Series::config_generation, SeriesType::gauge, "millrace_config_generation", "generation", {},
     "Number of the configuration in force; grows with every accepted change."},
    {Series::series_dropped_total, SeriesType::counter, "millrace_series_dropped_total",
     "names", {},
     "Times that a name got no series of its own because a cap was reached; it counts as "
     "`unknown` (tenants: `other`)."},
    {Series::access_log_dropped_total, SeriesType::counter, "millrace_access_log_dropped_total",
     "lines", {},
     "Access log lines overwritten because the disk or pipe was too slow."},
    {Series::event_loop_lag_seconds, SeriesType::histogram, "millrace_event_loop_lag_seconds",
     "seconds", {"worker"},
     "How late a worker came to a timer that was due or to an event that was ready.",
     kLoopLagBounds},
    {Series::build_info, SeriesType::gauge, "millrace_build_info", "constant", {"version"},
     "Always 1."},
    {Series::process_open_fds, SeriesType::gauge, "process_open_fds", "descriptors", {},
     "Open file descriptors."},
    {Series::process_resident_memory_bytes, SeriesType::gauge, "process_resident_memory_bytes",
     "bytes", {},
     "Resident memory."},
    {Series::process_cpu_seconds_total, SeriesType::counter, "process_cpu_seconds_total",
     "seconds", {},
     "User and system CPU time."},
    {Series::process_start_time_seconds, SeriesType::gauge, "process_start_time_seconds",
     "seconds", {},
     "Start of the process, seconds since the epoch."},
}};
// clang-format on

static_assert(
    [] {
        for (std::size_t i = 0; i < kSeriesCount; ++i) {
            const auto& s = kSeries[i];
            if (static_cast<std::size_t>(s.id) != i || s.name.empty() || s.help.empty() ||
                (s.type == SeriesType::histogram) == s.bounds_ns.empty()) {
                return false;
            }
        }
        return true;
    }(),
    "kSeries must list every Series in order, each with a name and a meaning, histograms with "
    "buckets");

constexpr const SeriesInfo& info(Series series) {
    return kSeries[static_cast<std::size_t>(series)];
}

std::string_view to_string(SeriesType type);

/// docs/METRICS.md, whole. Refresh with `millrace schema --metrics > docs/METRICS.md`.
std::string metrics_markdown();

}  // namespace millrace::metrics
