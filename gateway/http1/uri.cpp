#include "gateway/http1/uri.hpp"

#include "config/base/percent.hpp"
#include "gateway/http1/characters.hpp"

namespace millrace::http1 {
namespace {

bool ends_lines_or_strings(int value) {
    return value == 0 || value == '\n' || value == '\r';
}

/// Bytes of a target that need no second look in the path, and in the query.
consteval detail::ByteSet target_bytes_except(std::string_view special) {
    detail::ByteSet set;
    for (int c = 0x21; c < 0x7f; ++c) {
        set.has[c] = special.find(static_cast<char>(c)) == std::string_view::npos;
    }
    return set;
}

constexpr detail::ByteSet kPlainInPath = target_bytes_except("#/%?");
constexpr detail::ByteSet kPlainInQuery = target_bytes_except("#%");
constexpr detail::ByteSet kNameChars = detail::letters_digits_and("-._~");

/// `.` or `..` between separators, where dots and separators may be percent-encoded. Escapes are
/// well-formed.
bool has_dot_segment(std::string_view path) {
    std::size_t dots = 0;
    bool other = false;
    for (std::size_t i = 0; i < path.size(); ++i) {
        int c = static_cast<unsigned char>(path[i]);
        if (c == '%') {
            c = escape_value(path, i);
            i += 2;
        }
        if (c == '/') {
            if (!other && (dots == 1 || dots == 2)) {
                return true;
            }
            dots = 0;
            other = false;
        } else if (c == '.') {
            ++dots;
        } else {
            other = true;
        }
    }
    return !other && (dots == 1 || dots == 2);
}

/// Size of the path at the front of an origin-form target, or nothing if the path is not
/// acceptable.
std::optional<std::size_t> valid_path_size(std::string_view target) {
    bool look_for_dots = false;
    const char* const begin = target.data();
    const char* const end = begin + target.size();
    const char* at = begin;
    for (;; ++at) {
        while (at != end && kPlainInPath(*at)) {
            ++at;
        }
        if (at == end || *at == '?') {
            break;
        }
        if (*at == '/') {
            const char following = at + 1 == end ? '\0' : at[1];
            if (following == '/') {
                return std::nullopt;
            }
            look_for_dots = look_for_dots || following == '.';
        } else if (*at == '%') {
            const int value = escape_value(target, static_cast<std::size_t>(at - begin));
            if (value < 0 || ends_lines_or_strings(value)) {
                return std::nullopt;
            }
            look_for_dots = true;
        } else {
            return std::nullopt;
        }
    }
    const auto size = static_cast<std::size_t>(at - begin);
    if (look_for_dots && has_dot_segment(target.substr(0, size))) {
        return std::nullopt;
    }
    return size;
}

bool is_valid_query(std::string_view query) {
    for (std::size_t i = 0; i < query.size(); ++i) {
        if (!kPlainInQuery(query[i]) &&
            (query[i] != '%' || ends_lines_or_strings(escape_value(query, i)))) {
            return false;
        }
    }
    return true;
}

bool is_valid_port(std::string_view port) {
    if (port.empty() || port.size() > 5) {
        return false;
    }
    int value = 0;
    for (const char c : port) {
        if (!is_digit(c)) {
            return false;
        }
        value = value * 10 + (c - '0');
    }
    return value <= 65535;
}

/// `[...]`: only the characters are checked, since nobody dials it.
std::size_t ipv6_length(std::string_view host) {
    const auto close = host.find(']');
    if (close == std::string_view::npos || close < 3 || close > 46) {
        return 0;
    }
    for (const char c : host.substr(1, close - 1)) {
        if (hex_value(c) < 0 && c != ':' && c != '.') {
            return 0;
        }
    }
    return host.find(':') < close ? close + 1 : 0;
}

}  // namespace

std::optional<TargetParts> parse_origin_form(std::string_view target) {
    if (!target.starts_with('/')) {
        return std::nullopt;
    }
    const auto size = valid_path_size(target);
    if (!size) {
        return std::nullopt;
    }
    TargetParts parts{.path = {target.data(), *size}, .query = {}};
    if (*size < target.size()) {
        parts.query = target.substr(*size + 1);
        if (!is_valid_query(parts.query)) {
            return std::nullopt;
        }
    }
    return parts;
}

bool is_valid_host(std::string_view host) {
    constexpr std::size_t kLongestName = 255;
    std::size_t end = 0;
    if (host.starts_with('[')) {
        end = ipv6_length(host);
    } else {
        const char* const text = host.data();
        while (end < host.size() && kNameChars(text[end])) {
            ++end;
        }
    }
    if (end == 0 || end > kLongestName) {
        return false;
    }
    return end == host.size() || (host[end] == ':' && is_valid_port(host.substr(end + 1)));
}

std::optional<std::string> percent_decode(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out += text[i];
            continue;
        }
        const int value = escape_value(text, i);
        if (value < 0x20 || value == 0x7f) {
            return std::nullopt;
        }
        out += static_cast<char>(value);
        i += 2;
    }
    return out;
}

}  // namespace millrace::http1
