// respond: the one exit for every answer that is the gateway's own: refusals in the path's dialect,
// and local answers. Thread-safety: none; one worker.
#pragma once

#include <string>
#include <string_view>

#include "config/base/error.hpp"
#include "gateway/pipeline/scope.hpp"
#include "gateway/runtime/task.hpp"
#include "metrics/tokens/stream_error.hpp"

namespace millrace::gateway {

/// Answers with the error's row of the error table, and records it. Nothing is written to a client
/// that has left.
Task<void> refuse(RequestScope& scope, Error error);

/// Answers 200 with a JSON body; `body` outlives the call.
Task<void> respond_json(RequestScope& scope, std::string_view body);

/// A backend's error that came as the first event of a stream, as the body it would have been.
std::string upstream_error_body(metrics::Dialect dialect, const metrics::StreamError& error,
                                std::string_view request_id);

/// A whole refusal for a request that never became one (a head that does not parse, a connection
/// over the limit): status line, fields and body, ready to write. Always closes the connection.
std::string bare_refusal(const Error& error, std::string_view request_id);

}  // namespace millrace::gateway
