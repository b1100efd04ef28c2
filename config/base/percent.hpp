// Percent-decoding (RFC 3986 §2.1), once: what comes out is not decoded again. Thread-safety: free
// functions.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace millrace {

/// Value of a hex digit of either case, or -1.
constexpr int hex_value(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

/// Value of the escape whose `%` is at `at`, or -1.
constexpr int escape_value(std::string_view text, std::size_t at) {
    if (text.size() - at < 3) {
        return -1;
    }
    const int high = hex_value(text[at + 1]);
    const int low = hex_value(text[at + 2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/// For comparing: malformed escapes stay as they are.
std::string percent_decoded(std::string_view text);

/// For using: nullopt for a broken escape, or a control character, plain or escaped.
/// `plus_is_space`: as in the query of a form.
std::optional<std::string> percent_decoded_strictly(std::string_view text,
                                                    bool plus_is_space = false);

}  // namespace millrace
