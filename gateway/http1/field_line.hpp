// One field line of a head: `name ":" OWS value OWS`. Shared by both head parsers. Thread-safety:
// pure function.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "config/base/header_field.hpp"
#include "gateway/http1/characters.hpp"
#include "gateway/http1/known_field.hpp"

namespace millrace::http1 {

enum class FieldLine : std::uint8_t { bad, good, with_underscore };

/// Fills `field` from a line without CRLF and without control bytes (HeadLines has seen to that).
/// Nothing before the colon but token characters: no folded line, no space before the colon.
/// `readable_end` ends the buffer around it.
inline FieldLine parse_field_line(std::string_view line, const char* readable_end,
                                  HeaderField& field) {
    const char* const begin = line.data();
    const char* const end = begin + line.size();
    const auto [colon, plain] = skip_token(begin, end, readable_end);
    if (colon == begin || colon == end || *colon != ':') {
        return FieldLine::bad;
    }
    field.name = {begin, static_cast<std::size_t>(colon - begin)};
    field.value = trim({colon + 1, static_cast<std::size_t>(end - colon - 1)});
    field.known = static_cast<std::uint8_t>(known_field(field.name, readable_end));
    return !plain && field.name.find('_') != std::string_view::npos ? FieldLine::with_underscore
                                                                    : FieldLine::good;
}

/// Quotes a received name for an error message: what is not a token character is replaced, long
/// names are cut.
std::string printable_name(std::string_view text);

}  // namespace millrace::http1
