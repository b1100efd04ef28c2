#include "metrics/tokens/stream_error.hpp"

#include <array>
#include <utility>

#include "metrics/tokens/json_cursor.hpp"
#include "metrics/tokens/json_text.hpp"

namespace millrace::metrics {
namespace {

constexpr std::size_t kShortText = 64;
constexpr std::size_t kLongText = 1024;

std::string text_of(std::string_view value, std::size_t limit) {
    if (value.size() < 2 || value.front() != '"') {
        return {};
    }
    const std::string_view raw = value.substr(1, value.size() - 2);
    // Unescaping never makes text longer than its source; the cut is redone on the result.
    auto text = json_unescape(raw);
    if (!text) {
        return {};
    }
    if (text->size() > limit) {
        text->resize(limit);
    }
    return *std::move(text);
}

std::optional<unsigned> status_in(std::string_view value) {
    const auto number = json_uint(value);
    if (!number || *number < 400 || *number > 599) {
        return std::nullopt;
    }
    return static_cast<unsigned>(*number);
}

constexpr std::array<std::pair<std::string_view, unsigned>, 21> kStatuses{{
    {"invalid_request_error", 400},
    {"BadRequestError", 400},
    {"context_length_exceeded", 400},
    {"authentication_error", 401},
    {"invalid_api_key", 401},
    {"billing_error", 402},
    {"permission_error", 403},
    {"not_found_error", 404},
    {"NotFoundError", 404},
    {"model_not_found", 404},
    {"request_too_large", 413},
    {"UnprocessableEntityError", 422},
    {"rate_limit_error", 429},
    {"rate_limit_exceeded", 429},
    {"insufficient_quota", 429},
    {"api_error", 500},
    {"server_error", 500},
    {"InternalServerError", 500},
    {"NotImplementedError", 501},
    {"timeout_error", 504},
    {"overloaded_error", 529},
}};

}  // namespace

std::optional<StreamError> parse_stream_error(std::string_view json) {
    StreamError error;
    if (json.starts_with('"')) {
        error.message = text_of(json, kLongText);
        return error.message.empty() ? std::nullopt : std::optional(std::move(error));
    }
    JsonCursor cursor(json);
    if (!cursor.begin_object()) {
        return std::nullopt;
    }
    bool any = false;
    std::string_view key;
    while (cursor.next_member(key)) {
        const std::string_view value = cursor.skip_value();
        any = true;
        if (key == "message") {
            error.message = text_of(value, kLongText);
        } else if (key == "type") {
            error.type = text_of(value, kShortText);
        } else if (key == "code") {
            error.code = text_of(value, kShortText);
            error.status = error.status ? error.status : status_in(value);
        } else if (key == "status" || key == "status_code") {
            error.status = status_in(value) ? status_in(value) : error.status;
        }
    }
    return any && !cursor.failed() ? std::optional(std::move(error)) : std::nullopt;
}

unsigned status_of(const StreamError& error) {
    if (error.status) {
        return *error.status;
    }
    for (const auto& [name, status] : kStatuses) {
        if (error.type == name || error.code == name) {
            return status;
        }
    }
    return 502;
}

}  // namespace millrace::metrics
