#include "gateway/http1/framing.hpp"

#include <string>

#include "config/base/header_field.hpp"
#include "gateway/http1/characters.hpp"

namespace millrace::http1 {
namespace {

std::unexpected<Error> bad_framing(std::string detail) {
    return failure(Errc::bad_framing, Origin::downstream, std::move(detail));
}

std::unexpected<Error> bad_response(std::string detail) {
    return failure(Errc::upstream_bad_response, Origin::upstream, std::move(detail));
}

constexpr std::string_view kBothFields =
    "Content-Length and Transfer-Encoding are both present; exactly one of them may say where the "
    "body ends.";
constexpr std::string_view kOneLength = "Content-Length appears more than once; send one line.";
constexpr std::string_view kLengthGrammar = "Content-Length must be 1 to 19 decimal digits.";
constexpr std::string_view kOneCoding =
    "Transfer-Encoding appears more than once; send one line with the value chunked.";

}  // namespace

std::optional<std::uint64_t> parse_content_length(std::string_view text) {
    constexpr std::size_t kMostDigits = 19;  // 10^19 - 1 still fits into 64 bits
    if (text.empty() || text.size() > kMostDigits) {
        return std::nullopt;
    }
    std::uint64_t value = 0;
    for (const char c : text) {
        if (!is_digit(c)) {
            return std::nullopt;
        }
        value = value * 10 + static_cast<std::uint64_t>(c - '0');
    }
    return value;
}

Result<Framing> request_framing(const FramingFields& fields, int minor_version) {
    if (fields.transfer_encoding_lines > 0) {
        if (fields.content_length_lines > 0) {
            return bad_framing(std::string(kBothFields));
        }
        if (fields.transfer_encoding_lines > 1) {
            return bad_framing(std::string(kOneCoding));
        }
        if (minor_version == 0) {
            return bad_framing(
                "Transfer-Encoding is not part of HTTP/1.0; use HTTP/1.1 or Content-Length.");
        }
        if (!equals_ignoring_case(fields.transfer_encoding, "chunked")) {
            if (is_token(fields.transfer_encoding)) {
                return failure(Errc::unsupported_transfer_coding, Origin::downstream,
                               "The transfer coding is not supported; the only one is chunked.");
            }
            return bad_framing(
                "Transfer-Encoding must be exactly chunked, without parameters or a list.");
        }
        return Framing{.kind = BodyKind::chunked};
    }
    if (fields.content_length_lines == 0) {
        return Framing{};
    }
    if (fields.content_length_lines > 1) {
        return bad_framing(std::string(kOneLength));
    }
    const auto length = parse_content_length(fields.content_length);
    if (!length) {
        return bad_framing(std::string(kLengthGrammar));
    }
    return Framing{.kind = BodyKind::length, .content_length = *length};
}

Result<Framing> response_framing(const FramingFields& fields, int minor_version, int status,
                                 bool to_head) {
    // The fields are checked even where they do not count: a backend that contradicts itself is not
    // to be trusted.
    if (fields.content_length_lines > 0 && fields.transfer_encoding_lines > 0) {
        return bad_response(std::string(kBothFields));
    }
    if (fields.content_length_lines > 1) {
        return bad_response(std::string(kOneLength));
    }
    Framing framing{.kind = BodyKind::until_close};
    if (fields.transfer_encoding_lines > 0) {
        if (fields.transfer_encoding_lines > 1) {
            return bad_response(std::string(kOneCoding));
        }
        if (minor_version == 0 || !equals_ignoring_case(fields.transfer_encoding, "chunked")) {
            return bad_response("Transfer-Encoding must be exactly chunked, and only in HTTP/1.1.");
        }
        framing.kind = BodyKind::chunked;
    } else if (fields.content_length_lines > 0) {
        const auto length = parse_content_length(fields.content_length);
        if (!length) {
            return bad_response(std::string(kLengthGrammar));
        }
        framing = {.kind = BodyKind::length, .content_length = *length};
    }
    if (to_head || status == 204 || status == 304 || status < 200) {
        framing = {};
    }
    return framing;
}

}  // namespace millrace::http1
