// The methods that the gateway serves. Everything else is refused by the head parser with 405,
// TRACE and CONNECT included: nothing behind the gateway needs them and both have been used against
// proxies. Thread-safety: pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace millrace::http1 {

enum class Method : std::uint8_t { get, post, head, options, delete_ };

/// Value of an Allow field.
inline constexpr std::string_view kAllowedMethods = "GET, POST, HEAD, OPTIONS, DELETE";

/// Methods are case-sensitive (RFC 9110 §9.1).
constexpr std::optional<Method> parse_method(std::string_view text) {
    if (text == "POST") {
        return Method::post;
    }
    if (text == "GET") {
        return Method::get;
    }
    if (text == "HEAD") {
        return Method::head;
    }
    if (text == "OPTIONS") {
        return Method::options;
    }
    if (text == "DELETE") {
        return Method::delete_;
    }
    return std::nullopt;
}

constexpr std::string_view to_string(Method method) {
    switch (method) {
        case Method::get: return "GET";
        case Method::post: return "POST";
        case Method::head: return "HEAD";
        case Method::options: return "OPTIONS";
        case Method::delete_: return "DELETE";
    }
    return "GET";
}

}  // namespace millrace::http1
