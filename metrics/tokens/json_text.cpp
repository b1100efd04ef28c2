#include "metrics/tokens/json_text.hpp"

#include <array>
#include <charconv>

namespace millrace::metrics {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";

std::optional<std::uint32_t> hex4(std::string_view raw, std::size_t at) {
    if (at + 4 > raw.size()) {
        return std::nullopt;
    }
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(raw.data() + at, raw.data() + at + 4, value, 16);
    if (error != std::errc{} || end != raw.data() + at + 4) {
        return std::nullopt;
    }
    return value;
}

void append_utf8(std::string& out, std::uint32_t point) {
    if (point < 0x80) {
        out += static_cast<char>(point);
    } else if (point < 0x800) {
        out += static_cast<char>(0xC0U | (point >> 6U));
        out += static_cast<char>(0x80U | (point & 0x3FU));
    } else if (point < 0x10000) {
        out += static_cast<char>(0xE0U | (point >> 12U));
        out += static_cast<char>(0x80U | ((point >> 6U) & 0x3FU));
        out += static_cast<char>(0x80U | (point & 0x3FU));
    } else {
        out += static_cast<char>(0xF0U | (point >> 18U));
        out += static_cast<char>(0x80U | ((point >> 12U) & 0x3FU));
        out += static_cast<char>(0x80U | ((point >> 6U) & 0x3FU));
        out += static_cast<char>(0x80U | (point & 0x3FU));
    }
}

/// Length of the well-formed UTF-8 sequence at `at` (Unicode 15, table 3-7), 0 if there is none.
std::size_t utf8_length(std::string_view text, std::size_t at) {
    const auto byte = [&](std::size_t i) -> unsigned {
        return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
    };
    const auto follows = [&](std::size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
    const unsigned lead = byte(at);
    const unsigned second = byte(at + 1);
    if (lead < 0x80) {
        return 1;
    }
    if (lead >= 0xC2 && lead <= 0xDF) {
        return follows(at + 1) ? 2 : 0;
    }
    if (lead >= 0xE0 && lead <= 0xEF) {
        const bool ok = follows(at + 1) && follows(at + 2) && (lead != 0xE0 || second >= 0xA0) &&
                        (lead != 0xED || second <= 0x9F);
        return ok ? 3 : 0;
    }
    if (lead >= 0xF0 && lead <= 0xF4) {
        const bool ok = follows(at + 1) && follows(at + 2) && follows(at + 3) &&
                        (lead != 0xF0 || second >= 0x90) && (lead != 0xF4 || second <= 0x8F);
        return ok ? 4 : 0;
    }
    return 0;
}

/// Printable ASCII without quotes and backslashes: the text is its own spelling.
bool is_plain(std::string_view raw) {
    bool plain = true;
    for (const char byte : raw) {
        plain = plain && byte >= 0x20 && byte != '"' && byte != '\\' && byte != 0x7F;
    }
    return plain;
}

/// Decodes the escape whose backslash is at `at`; returns the offset behind it, 0 if it is
/// malformed.
std::size_t unescape_one(std::string_view raw, std::size_t at, std::string& out) {
    if (at + 1 >= raw.size()) {
        return 0;
    }
    switch (raw[at + 1]) {
        case '"': out += '"'; return at + 2;
        case '\\': out += '\\'; return at + 2;
        case '/': out += '/'; return at + 2;
        case 'b': out += '\b'; return at + 2;
        case 'f': out += '\f'; return at + 2;
        case 'n': out += '\n'; return at + 2;
        case 'r': out += '\r'; return at + 2;
        case 't': out += '\t'; return at + 2;
        case 'u': break;
        default: return 0;
    }
    const auto unit = hex4(raw, at + 2);
    if (!unit || (*unit >= 0xDC00 && *unit <= 0xDFFF)) {
        return 0;
    }
    if (*unit < 0xD800 || *unit > 0xDBFF) {
        append_utf8(out, *unit);
        return at + 6;
    }
    if (raw.substr(at + 6, 2) != "\\u") {
        return 0;
    }
    const auto low = hex4(raw, at + 8);
    if (!low || *low < 0xDC00 || *low > 0xDFFF) {
        return 0;
    }
    append_utf8(out, 0x10000U + ((*unit - 0xD800U) << 10U) + (*low - 0xDC00U));
    return at + 12;
}

std::size_t count_digits(std::string_view text, std::size_t at) {
    std::size_t n = 0;
    while (at + n < text.size() && text[at + n] >= '0' && text[at + n] <= '9') {
        ++n;
    }
    return n;
}

bool is_json_number(std::string_view text) {
    std::size_t at = text.starts_with('-') ? 1 : 0;
    const std::size_t whole = count_digits(text, at);
    if (whole == 0 || (whole > 1 && text[at] == '0')) {
        return false;
    }
    at += whole;
    if (at < text.size() && text[at] == '.') {
        const std::size_t fraction = count_digits(text, at + 1);
        if (fraction == 0) {
            return false;
        }
        at += 1 + fraction;
    }
    if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
        ++at;
        if (at < text.size() && (text[at] == '+' || text[at] == '-')) {
            ++at;
        }
        const std::size_t exponent = count_digits(text, at);
        if (exponent == 0) {
            return false;
        }
        at += exponent;
    }
    return at == text.size();
}

}  // namespace

std::optional<std::string> json_unescape(std::string_view raw) {
    if (is_plain(raw)) {
        return std::string(raw);
    }
    std::string out;
    out.reserve(raw.size());
    for (std::size_t at = 0; at < raw.size();) {
        if (raw[at] == '\\') {
            const std::size_t next = unescape_one(raw, at, out);
            if (next == 0) {
                return std::nullopt;
            }
            at = next;
            continue;
        }
        const std::size_t length = utf8_length(raw, at);
        if (length == 0 || raw[at] == '"' || static_cast<unsigned char>(raw[at]) < 0x20) {
            return std::nullopt;
        }
        out.append(raw, at, length);
        at += length;
    }
    return out;
}

void append_json_string(std::string& out, std::string_view text) {
    out += '"';
    for (std::size_t at = 0; at < text.size();) {
        const auto byte = static_cast<unsigned char>(text[at]);
        if (byte == '"' || byte == '\\') {
            out += '\\';
            out += text[at++];
        } else if (byte == '\n') {
            out += "\\n";
            ++at;
        } else if (byte < 0x20 || byte == 0x7F) {
            out += "\\u00";
            out += kHexDigits[byte >> 4U];
            out += kHexDigits[byte & 0xFU];
            ++at;
        } else if (const std::size_t length = utf8_length(text, at); length > 0) {
            out.append(text, at, length);
            at += length;
        } else {
            out += "\xEF\xBF\xBD";
            ++at;
        }
    }
    out += '"';
}

std::optional<std::uint64_t> json_uint(std::string_view text) {
    if (text.empty() || text.size() > 20 || (text.size() > 1 && text.front() == '0')) {
        return std::nullopt;
    }
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) {
        return std::nullopt;
    }
    return value;
}

bool is_json_scalar(std::string_view text) {
    return text == "true" || text == "false" || text == "null" || is_json_number(text);
}

void append_uint(std::string& out, std::uint64_t value) {
    std::array<char, 20> digits{};
    const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), value);
    static_cast<void>(error);
    out.append(digits.data(), end);
}

}  // namespace millrace::metrics
