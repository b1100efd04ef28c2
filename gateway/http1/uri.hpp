// Questions about request targets and hosts, answered without changing them. Paths are not
// normalised: what could be normalised in two ways is refused, so that the path that was routed is
// the path that the backend sees. Thread-safety: pure functions.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::http1 {

struct TargetParts {
    std::string_view path;
    std::string_view query;
};

/// Splits an origin-form target. Nothing if it has a byte outside 0x21-0x7e, a fragment, `//` or a
/// dot segment in the path (percent-encoded or not), a malformed escape in the path, or %00, %0A,
/// %0D anywhere.
std::optional<TargetParts> parse_origin_form(std::string_view target);

/// `name`, `ipv4` or `[ipv6]`, with an optional `:port` up to 65535. No user information, no comma,
/// no empty host.
bool is_valid_host(std::string_view host);

/// Decodes %XX once. Nothing if an escape is malformed or decodes to a control byte.
std::optional<std::string> percent_decode(std::string_view text);

}  // namespace millrace::http1
