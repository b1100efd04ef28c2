// Small appenders for rendering responses without streams or a DOM. Thread-safety: pure functions.
#pragma once

#include <charconv>
#include <concepts>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::vllm_sim {

template <std::integral T>
void append_number(std::string& out, T value) {
    char digits[24];
    const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    out.append(digits, end);
}

/// One decimal number with `precision` digits behind the point.
inline void append_fixed(std::string& out, double value, int precision) {
    char digits[64];
    const auto end =
        std::to_chars(digits, digits + sizeof digits, value, std::chars_format::fixed, precision);
    out.append(digits, end.ec == std::errc() ? end.ptr : digits);
}

/// Appends views and integers one behind the other.
template <class... Parts>
void append(std::string& out, const Parts&... parts) {
    const auto one = [&out]<class P>(const P& part) {
        if constexpr (std::convertible_to<P, std::string_view>) {
            out.append(std::string_view(part));
        } else {
            append_number(out, part);
        }
    };
    (one(parts), ...);
}

/// `text` as a JSON string, quotes included. Bytes above 0x7f pass as they are (the input is UTF-8
/// by contract).
inline void append_json_string(std::string& out, std::string_view text) {
    constexpr std::string_view kHex = "0123456789abcdef";
    out.push_back('"');
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out.push_back('\\');
            out.push_back(c);
        } else if (byte < 0x20) {
            out.append("\\u00");
            out.push_back(kHex[byte >> 4U]);
            out.push_back(kHex[byte & 15U]);
        } else {
            out.push_back(c);
        }
    }
    out.push_back('"');
}

/// The whole text as a number, or nothing.
template <std::integral T>
std::optional<T> to_number(std::string_view text) {
    T value{};
    const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
    if (result.ec != std::errc() || result.ptr != text.data() + text.size()) {
        return std::nullopt;
    }
    return value;
}

}  // namespace millrace::vllm_sim
