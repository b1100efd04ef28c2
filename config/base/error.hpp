// Errors as values: what went wrong (Errc), who caused it (Origin), and a sentence for the person
// who reads it.
//
// Expected failures travel as Result<T>; exceptions are for start-up and true bugs. How an Errc
// looks to a client (status, type, code, retryable, metric label) is decided in one table:
// gateway/openai/error_table. Thread-safety: plain values.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace millrace {

/// Every expected failure of the data path. Order is not significant; kErrcCount must stay last.
enum class Errc : std::uint8_t {
    // The form of the request (RFC 9112, our limits).
    bad_request_line,  ///< start line is not `token SP target SP HTTP/1.x`
    bad_target,        ///< target is not an acceptable origin-form
    bad_host,          ///< Host missing, repeated or not a valid uri-host
    bad_header,        ///< a field line breaks the grammar
    duplicate_header,  ///< a singleton field appears more than once
    bad_framing,       ///< Content-Length / Transfer-Encoding are invalid or contradict each other
    bad_chunk,         ///< chunked body breaks the grammar
    unsupported_transfer_coding,   ///< one well-formed coding other than chunked
    unsupported_http_version,      ///< HTTP major version other than 1
    method_not_allowed,            ///< method outside the allow-list, or not offered by this path
    uri_too_long,                  ///< start line over its limit
    headers_too_large,             ///< header block or field count over its limit
    body_too_large,                ///< body over the route's limit
    unsupported_content_encoding,  ///< request Content-Encoding other than identity
    unsupported_media_type,        ///< Content-Type this path cannot read
    unsupported_expectation,       ///< Expect other than 100-continue
    header_timeout,                ///< head did not arrive in time
    body_timeout,                  ///< body arrived slower than the minimum rate
    // The content of the request.
    bad_json,            ///< body is not one balanced JSON object
    json_too_deep,       ///< nesting over the limit
    duplicate_key,       ///< a key that routing reads appears twice
    bad_field,           ///< a key that routing reads has the wrong type or value
    bad_multipart,       ///< multipart body is malformed
    model_missing,       ///< neither header nor body names a model
    model_mismatch,      ///< header and body name different known models
    model_not_found,     ///< a name the configuration does not know
    path_not_found,      ///< no such API path and no route matches
    response_not_found,  ///< unknown or foreign response id
    // Identity.
    missing_credentials,  ///< no API key where one is required
    invalid_credentials,  ///< unknown, disabled or expired key
    forbidden,            ///< known caller, not allowed to do this
    // Our capacity and configuration.
    server_overloaded,     ///< process-wide byte budget or overload ladder
    too_many_connections,  ///< listener's connection limit
    draining,              ///< gateway is shutting down
    no_ready_endpoint,     ///< pool has no usable endpoint now, and requests may not wait for one
    queue_full,            ///< the pool's line has no room
    queue_timeout,         ///< waited in line until its limit: all endpoints busy
    pool_asleep,           ///< waited until its limit: the pool has no endpoints
    pool_starting,         ///< waited until its limit: the pool's endpoints are not ready
    shed,                  ///< gave its place in line to a request of higher priority
    zero_weight,           ///< every variant of the route has weight 0
    unresolved_backend,    ///< a route's backendRef names nothing we know
    // The backend.
    upstream_connect_failed,   ///< refused, unreachable or TLS failure
    upstream_connect_timeout,  ///< connect not finished in time
    upstream_closed,           ///< connection ended before a response head
    upstream_bad_response,     ///< response head or body breaks the wire's rules
    upstream_truncated,        ///< body ended before its framing said so
    upstream_error_event,      ///< the backend reported an error inside a 200 stream
    first_byte_timeout,        ///< no response head in time
    first_token_timeout,       ///< response head came, no content token in time
    idle_timeout,              ///< stream went silent
    total_timeout,             ///< whole exchange over its limit
    // Neither.
    client_closed,         ///< client went away; nobody reads the answer
    client_write_stalled,  ///< client did not read for the write-stall limit
    drain_deadline,        ///< drain deadline passed while the request ran
    internal,              ///< a bug of ours, caught at the session's edge
    kErrcCount
};

/// Who is at fault, for logs and metric labels.
enum class Origin : std::uint8_t { downstream, upstream, internal, policy };

/// One failure. `detail` is a full sentence that names the limit, key or line and what to do; it
/// may be shown to clients.
struct Error {
    Errc code = Errc::internal;
    Origin origin = Origin::internal;
    std::string detail;
};

template <class T>
using Result = std::expected<T, Error>;

/// Shorthand for `return failure(Errc::x, Origin::y, "…")` in functions that return Result<T>.
inline std::unexpected<Error> failure(Errc code, Origin origin, std::string detail) {
    return std::unexpected(Error{code, origin, std::move(detail)});
}

/// Stable snake_case name of the enumerator; the metric label and log field.
std::string_view to_string(Errc code);
std::string_view to_string(Origin origin);

}  // namespace millrace
