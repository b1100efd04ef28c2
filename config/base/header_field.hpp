// A header field as two views into somebody else's buffer, and the few questions everybody asks
// about a list of them. Shared by the codec (which makes them), routing (which matches them) and
// the pure request builders. Thread-safety: plain values; the views live as long as the buffer they
// point into.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace millrace {

struct HeaderField {
    std::string_view name;   ///< as received; compare with equals_ignoring_case
    std::string_view value;  ///< without surrounding whitespace
    std::uint8_t known = 0;  ///< http1::KnownField of the name; 0 = not one of them
};

using HeaderFields = std::span<const HeaderField>;

constexpr char to_lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

/// ASCII case-insensitive equality, as RFC 9110 wants for names.
constexpr bool equals_ignoring_case(std::string_view a, std::string_view b) {
    if (a.size() != b.size()) {
        return false;
    }
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (to_lower(a[i]) != to_lower(b[i])) {
            return false;
        }
    }
    return true;
}

/// First field of that name, or nullptr.
constexpr const HeaderField* find_field(HeaderFields fields, std::string_view name) {
    for (const auto& field : fields) {
        if (equals_ignoring_case(field.name, name)) {
            return &field;
        }
    }
    return nullptr;
}

}  // namespace millrace
