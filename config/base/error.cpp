#include "config/base/error.hpp"

#include <array>

namespace millrace {
namespace {

constexpr std::array<std::string_view, static_cast<std::size_t>(Errc::kErrcCount)> kNames{
    "bad_request_line",
    "bad_target",
    "bad_host",
    "bad_header",
    "duplicate_header",
    "bad_framing",
    "bad_chunk",
    "unsupported_transfer_coding",
    "unsupported_http_version",
    "method_not_allowed",
    "uri_too_long",
    "headers_too_large",
    "body_too_large",
    "unsupported_content_encoding",
    "unsupported_media_type",
    "unsupported_expectation",
    "header_timeout",
    "body_timeout",
    "bad_json",
    "json_too_deep",
    "duplicate_key",
    "bad_field",
    "bad_multipart",
    "model_missing",
    "model_mismatch",
    "model_not_found",
    "path_not_found",
    "response_not_found",
    "missing_credentials",
    "invalid_credentials",
    "forbidden",
    "server_overloaded",
    "too_many_connections",
    "draining",
    "no_ready_endpoint",
    "queue_full",
    "queue_timeout",
    "pool_asleep",
    "pool_starting",
    "shed",
    "zero_weight",
    "unresolved_backend",
    "upstream_connect_failed",
    "upstream_connect_timeout",
    "upstream_closed",
    "upstream_bad_response",
    "upstream_truncated",
    "upstream_error_event",
    "first_byte_timeout",
    "first_token_timeout",
    "idle_timeout",
    "total_timeout",
    "client_closed",
    "client_write_stalled",
    "drain_deadline",
    "internal",
};
static_assert(!kNames.back().empty(), "every Errc has a name");

}  // namespace

std::string_view to_string(Errc code) {
    const auto index = static_cast<std::size_t>(code);
    return index < kNames.size() ? kNames[index] : "internal";
}

std::string_view to_string(Origin origin) {
    switch (origin) {
        case Origin::downstream: return "downstream";
        case Origin::upstream: return "upstream";
        case Origin::internal: return "internal";
        case Origin::policy: return "policy";
    }
    return "internal";
}

}  // namespace millrace
