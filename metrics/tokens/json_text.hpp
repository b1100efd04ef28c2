// Small pieces of JSON text: unescape and escape strings, read whole numbers. Shared by everything
// that looks into bodies without building a document. Strict (RFC 8259, valid UTF-8), because two
// readers that disagree about a model name are a security problem. Thread-safety: pure functions.
// Units: bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::metrics {

/// A piece of a buffer, by position, so that it survives the buffer's growth.
struct Span {
    std::size_t offset = 0;
    std::size_t length = 0;

    constexpr std::size_t end() const { return offset + length; }
    constexpr bool operator==(const Span&) const = default;
};

/// The text of a JSON string given what stands between its quotes. nullopt: a bad escape, a lone
/// surrogate, a control character or invalid UTF-8.
std::optional<std::string> json_unescape(std::string_view raw);

/// Appends `text` as a quoted JSON string. Invalid UTF-8 becomes U+FFFD, so the result is always
/// valid JSON.
void append_json_string(std::string& out, std::string_view text);

/// A JSON number without sign, fraction or exponent that fits 64 bits; nullopt otherwise.
std::optional<std::uint64_t> json_uint(std::string_view text);

/// Whether `text` is exactly one number, `true`, `false` or `null`.
bool is_json_scalar(std::string_view text);

/// The decimal digits of a number, appended.
void append_uint(std::string& out, std::uint64_t value);

}  // namespace millrace::metrics
