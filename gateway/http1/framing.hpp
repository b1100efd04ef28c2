// How a message says where its body ends. The rules are stricter than RFC 9112 §6: one
// Content-Length line of 1 to 19 digits, or one Transfer-Encoding line that is exactly `chunked` in
// HTTP/1.1, never both; whatever two readers could understand differently is refused, because that
// is how requests are smuggled. Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string_view>

#include "config/base/error.hpp"
#include "gateway/http1/known_field.hpp"

namespace millrace::http1 {

enum class BodyKind : std::uint8_t {
    none,     ///< no body, whatever Content-Length says (HEAD, 204, 304, requests without framing)
    length,   ///< exactly content_length bytes, possibly 0
    chunked,  ///< chunks until the last one
    until_close  ///< responses only: everything until EOF
};

struct Framing {
    BodyKind kind = BodyKind::none;
    std::uint64_t content_length = 0;  ///< bytes; meaningful for BodyKind::length

    bool has_body() const {
        return kind == BodyKind::chunked || kind == BodyKind::until_close ||
               (kind == BodyKind::length && content_length > 0);
    }
    bool operator==(const Framing&) const = default;
};

/// What the two framing fields of one head said. Values are trimmed; counts are numbers of lines.
struct FramingFields {
    std::string_view content_length;
    std::string_view transfer_encoding;
    unsigned content_length_lines = 0;
    unsigned transfer_encoding_lines = 0;

    /// Notes a line of a head; false when it is no framing field.
    bool note(KnownField field, std::string_view value) {
        if (field == KnownField::content_length) {
            content_length = value;
            ++content_length_lines;
        } else if (field == KnownField::transfer_encoding) {
            transfer_encoding = value;
            ++transfer_encoding_lines;
        } else {
            return false;
        }
        return true;
    }
};

/// `1*19DIGIT`, or nothing.
std::optional<std::uint64_t> parse_content_length(std::string_view text);

/// Fails with bad_framing, or unsupported_transfer_coding for one well-formed coding other than
/// chunked.
Result<Framing> request_framing(const FramingFields& fields, int minor_version);

/// Fails with upstream_bad_response. `to_head`: the response answers a HEAD request.
Result<Framing> response_framing(const FramingFields& fields, int minor_version, int status,
                                 bool to_head);

}  // namespace millrace::http1
