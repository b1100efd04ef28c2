// The header fields that the gateway treats specially, as a small enum, so that later questions
// ("is this hop-by-hop?", "where is x-model-id?") cost an array access instead of a string
// comparison. The lookup is a perfect hash found at compile time and compares without regard to
// case. Thread-safety: pure functions over constant tables.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "config/base/header_field.hpp"

namespace millrace::http1 {

/// Value of HeaderField::known. `none` must stay 0, kCount last.
enum class KnownField : std::uint8_t {
    none,
    // Framing and routing.
    host,
    content_length,
    transfer_encoding,
    expect,
    // Hop-by-hop.
    connection,
    keep_alive,
    proxy_connection,
    proxy_authenticate,
    proxy_authorization,
    te,
    trailer,
    upgrade,
    http2_settings,
    // Identity.
    authorization,
    x_api_key,
    cookie,
    // Content.
    content_type,
    content_encoding,
    accept,
    accept_encoding,
    // Ours and the ecosystem's.
    x_model_id,
    x_request_id,
    x_client_request_id,
    x_stainless_retry_count,
    traceparent,
    tracestate,
    user_agent,
    anthropic_version,
    // Forwarding.
    forwarded,
    via,
    x_forwarded_for,
    x_forwarded_host,
    x_forwarded_port,
    x_forwarded_prefix,
    x_forwarded_proto,
    x_forwarded_client_cert,
    x_real_ip,
    // Responses.
    server,
    date,
    set_cookie,
    location,
    retry_after,
    cache_control,
    www_authenticate,
    kCount
};

inline constexpr std::size_t kKnownFieldCount = static_cast<std::size_t>(KnownField::kCount);

/// The enumerator for a name made of token characters only (as the parsers guarantee), or none.
KnownField known_field(std::string_view name);

/// The same for a name inside a buffer that can be read up to `readable_end`, which allows wide
/// loads.
KnownField known_field(std::string_view name, const char* readable_end);

inline KnownField known(const HeaderField& field) {
    return static_cast<KnownField>(field.known);
}

/// Lower-case name on the wire; empty for none.
std::string_view to_string(KnownField field);

/// More than one line of it in a request is refused, because two readers could disagree on which
/// one counts.
bool is_singleton(KnownField field);

/// Meaningful for one connection only: never forwarded, in either direction.
bool is_hop_by_hop(KnownField field);

/// Must not be named by a client's Connection field: removing it would change framing, identity or
/// routing.
bool is_protected(KnownField field);

}  // namespace millrace::http1
