// The small grammars of the document: durations, sizes, sums, names (those of addresses are in
// config/address_syntax). Each parser takes the whole text and answers nullopt for anything else;
// the caller knows the key and writes the sentence. The gateway uses the same parsers, so that what
// was checked is what is used. Thread-safety: free functions without state. Units: durations in
// nanoseconds, sizes in bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "config/base/clock.hpp"
#include "config/model.hpp"

namespace millrace::config {

/// `250ms`, `10s`, `1h30m`, `0`: the Gateway API's grammar, ([0-9]{1,5}(h|m|s|ms)){1,4}, and a bare
/// zero.
std::optional<Duration> parse_duration(std::string_view text);
/// `4096`, `64KiB`, `32MiB`, `2GiB`.
std::optional<std::uint64_t> parse_size(std::string_view text);
/// Decimal digits only; no sign, no leading zeros.
std::optional<std::uint64_t> parse_count(std::string_view text);
/// `3`, `0.15`: at most six digits before and after the point.
std::optional<Dollars> parse_dollars(std::string_view text);

/// The shortest text that the parser above reads back.
std::string format_duration(Duration value);
std::string format_size(std::uint64_t bytes);
std::string format_dollars(Dollars amount);
std::string format_count(std::uint64_t value);
std::string format_milliseconds(std::uint64_t value);

/// Bytes below 0x20 and DEL, which have no business in a name, a path or a header.
bool has_control_characters(std::string_view text);

/// Ids of models, aliases, variants and backends: ^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}$ without
/// `..`.
bool is_identifier(std::string_view text);
/// An RFC 9110 token: what a header field name is made of.
bool is_token(std::string_view text);
/// Labels of letters, digits and inner hyphens, at most 253 characters; a trailing dot is not
/// accepted.
bool is_host_name(std::string_view text);

}  // namespace millrace::config
