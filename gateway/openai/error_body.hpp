// Writes failures in the dialect of the path: whole bodies before a commit, one stream event after
// it. OpenAI bodies always have their four keys; events also carry status and retry_after_ms,
// because the real status can no longer be sent. Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "config/base/error.hpp"
#include "metrics/tokens/stream_error.hpp"
#include "metrics/tokens/usage.hpp"

namespace millrace::openai {

/// The body for a refusal; Content-Type application/json.
std::string error_body(metrics::Dialect dialect, const Error& error, std::string_view request_id);

/// What an error event says. Views are borrowed for the call.
struct ErrorEvent {
    unsigned status = 500;
    std::string_view type;
    std::string_view code;
    std::string_view message;
    std::optional<std::uint64_t> retry_after_ms;
    std::string_view request_id;
    std::string_view response_id;       ///< Responses: set when the stream had named it
    std::uint64_t sequence_number = 0;  ///< Responses: number of events already forwarded
};

/// Appends one complete event. Chat and completions: `data: {"error":…}`. Messages: `event: error`.
/// Responses: `response.failed` when response_id is known, else `error`. Never a terminal marker.
void append_error_event(std::string& out, metrics::Dialect dialect, const ErrorEvent& event);

/// The event for a failure of ours. The views point into `error` and into static tables.
ErrorEvent event_for(metrics::Dialect dialect, const Error& error);
/// The event for an upstream answer that came too late for its status: status and the parsed error,
/// if any.
ErrorEvent event_for(metrics::Dialect dialect, unsigned status, const metrics::StreamError& error);

}  // namespace millrace::openai
