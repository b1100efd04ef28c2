#include "gateway/openai/error_table.hpp"

#include <algorithm>
#include <array>

namespace millrace::openai {
namespace {

constexpr std::string_view kInvalid = "invalid_request_error";
constexpr std::string_view kServer = "server_error";
constexpr std::string_view kUpstream = "upstream_error";

/// The request's form or content is wrong: repeating it does not help.
constexpr ErrorRow refused(unsigned status, std::string_view code, bool closes,
                           std::string_view outcome, std::string_view param = {}) {
    const std::string_view anthropic = status == 404   ? "not_found_error"
                                       : status == 413 ? "request_too_large"
                                                       : kInvalid;
    return {status, kInvalid, code, param, anthropic, false, closes, {}, outcome};
}

/// Our capacity: 503 with a reason, and worth repeating.
constexpr ErrorRow unavailable(std::string_view code, std::string_view reason, bool closes,
                               std::string_view outcome) {
    return {503, kServer, code, {}, "overloaded_error", true, closes, reason, outcome};
}

/// The backend failed before or inside the answer.
constexpr ErrorRow backend(unsigned status, std::string_view code, bool closes,
                           std::string_view outcome) {
    return {status, kUpstream, code, {},     status == 504 ? "timeout_error" : "api_error",
            true,   closes,    {},   outcome};
}

constexpr ErrorRow row_of(Errc code) {
    switch (code) {
        case Errc::bad_request_line: return refused(400, "bad_request_line", true, "bad_request");
        case Errc::bad_target: return refused(400, "bad_target", true, "bad_request");
        case Errc::bad_host: return refused(400, "bad_host", true, "bad_request");
        case Errc::bad_header: return refused(400, "bad_header", true, "bad_request");
        case Errc::duplicate_header: return refused(400, "duplicate_header", true, "bad_request");
        case Errc::bad_framing: return refused(400, "bad_framing", true, "bad_request");
        case Errc::bad_chunk: return refused(400, "bad_chunk", true, "bad_request");
        case Errc::unsupported_transfer_coding:
            return refused(501, "unsupported_transfer_coding", true, "bad_request");
        case Errc::unsupported_http_version:
            return refused(505, "unsupported_http_version", true, "bad_request");
        case Errc::method_not_allowed:
            return refused(405, "method_not_allowed", false, "bad_request");
        case Errc::uri_too_long: return refused(414, "uri_too_long", true, "too_large");
        case Errc::headers_too_large: return refused(431, "headers_too_large", true, "too_large");
        case Errc::body_too_large: return refused(413, "body_too_large", true, "too_large");
        case Errc::unsupported_content_encoding:
            return refused(415, "unsupported_content_encoding", false, "bad_request");
        case Errc::unsupported_media_type:
            return refused(415, "unsupported_media_type", false, "bad_request");
        case Errc::unsupported_expectation:
            return refused(417, "unsupported_expectation", true, "bad_request");
        case Errc::header_timeout: return refused(408, "header_timeout", true, "client_timeout");
        case Errc::body_timeout: return refused(408, "body_timeout", true, "client_timeout");
        case Errc::bad_json: return refused(400, "bad_json", false, "bad_request");
        case Errc::json_too_deep: return refused(400, "json_too_deep", false, "bad_request");
        case Errc::duplicate_key: return refused(400, "duplicate_key", false, "bad_request");
        case Errc::bad_field: return refused(400, "bad_field", false, "bad_request");
        case Errc::bad_multipart: return refused(400, "bad_multipart", false, "bad_request");
        case Errc::model_missing:
            return refused(400, "model_missing", false, "bad_request", "model");
        case Errc::model_mismatch:
            return refused(400, "model_mismatch", false, "bad_request", "model");
        case Errc::model_not_found:
            return refused(404, "model_not_found", false, "not_found", "model");
        case Errc::path_not_found: return refused(404, "path_not_found", false, "not_found");
        case Errc::response_not_found:
            return refused(404, "response_not_found", false, "not_found");
        case Errc::missing_credentials:
            return {401,   kInvalid, "missing_credentials", {}, "authentication_error", false,
                    false, {},       "unauthenticated"};
        case Errc::invalid_credentials:
            return {401,   kInvalid, "invalid_api_key", {}, "authentication_error", false,
                    false, {},       "unauthenticated"};
        case Errc::forbidden:
            return {403,   kInvalid, "forbidden", {},         "permission_error",
                    false, false,    {},          "forbidden"};
        case Errc::server_overloaded:
            return unavailable("server_overloaded", "server_overloaded", false, "overloaded");
        case Errc::too_many_connections:
            return unavailable("too_many_connections", "server_overloaded", true, "overloaded");
        case Errc::draining: return unavailable("draining", "draining", true, "draining");
        case Errc::no_ready_endpoint:
            return unavailable("no_ready_endpoint", "backend_error", false, "no_backend");
        case Errc::queue_full:
            return unavailable("queue_full", "saturated", false, "queue_full");
        case Errc::queue_timeout:
            return unavailable("queue_timeout", "saturated", false, "queue_timeout");
        case Errc::pool_asleep: return unavailable("pool_asleep", "asleep", false, "queue_timeout");
        case Errc::pool_starting:
            return unavailable("pool_starting", "starting", false, "queue_timeout");
        case Errc::shed: return unavailable("shed", "shed", false, "shed");
        case Errc::zero_weight: return unavailable("zero_weight", "shed", false, "no_backend");
        case Errc::unresolved_backend:
            return {500,   kServer, "unresolved_backend", {}, "api_error", true,
                    false, {},      "no_backend"};
        case Errc::upstream_connect_failed:
            return backend(502, "upstream_connect_failed", false, "backend_error");
        case Errc::upstream_connect_timeout:
            return backend(504, "upstream_connect_timeout", false, "backend_timeout");
        case Errc::upstream_closed: return backend(502, "upstream_closed", false, "backend_error");
        case Errc::upstream_bad_response:
            return backend(502, "upstream_bad_response", false, "backend_error");
        case Errc::upstream_truncated:
            return backend(502, "upstream_truncated", true, "backend_error");
        case Errc::upstream_error_event:
            return backend(502, "upstream_error_event", false, "backend_error");
        case Errc::first_byte_timeout:
            return backend(504, "first_byte_timeout", false, "backend_timeout");
        case Errc::first_token_timeout:
            return backend(504, "first_token_timeout", false, "backend_timeout");
        case Errc::idle_timeout: return backend(504, "idle_timeout", true, "backend_timeout");
        case Errc::total_timeout: return backend(504, "total_timeout", true, "backend_timeout");
        case Errc::client_closed:
            return {499, kInvalid, "client_closed", {}, kInvalid, false, true, {}, "client_closed"};
        case Errc::client_write_stalled:
            return {499,  kInvalid, "client_write_stalled", {}, kInvalid, false,
                    true, {},       "client_closed"};
        case Errc::drain_deadline:
            return unavailable("drain_deadline", "draining", true, "draining");
        case Errc::internal:
        case Errc::kErrcCount: break;
    }
    return {500, kServer, "internal", {}, "api_error", true, true, {}, "internal"};
}

constexpr std::size_t kCount = static_cast<std::size_t>(Errc::kErrcCount);

/// The switch has no default, so the compiler names an Errc without a row.
constexpr auto kTable = [] {
    std::array<ErrorRow, kCount> table{};
    for (std::size_t i = 0; i < kCount; ++i) {
        table[i] = row_of(static_cast<Errc>(i));
    }
    return table;
}();

constexpr bool is_whole(const ErrorRow& row) {
    return row.status >= 400 && row.status < 600 && !row.type.empty() && !row.code.empty() &&
           !row.anthropic_type.empty() && !row.outcome.empty() &&
           row.reason.empty() == (row.status != 503);
}
static_assert(std::ranges::all_of(kTable, is_whole));

}  // namespace

const ErrorRow& error_row(Errc code) {
    const auto index = static_cast<std::size_t>(code);
    return kTable[index < kCount ? index : static_cast<std::size_t>(Errc::internal)];
}

}  // namespace millrace::openai
