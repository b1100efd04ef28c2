// The grammars of where something listens: IP literals, `host:port`, endpoint URLs, networks. Like
// config/syntax, each parser takes the whole text and answers nullopt for anything else.
// Thread-safety: free functions without state.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "config/model.hpp"

namespace millrace::config {

bool is_ipv4(std::string_view text);
bool is_ipv6(std::string_view text);  ///< without brackets
/// 127.0.0.0/8 or ::1.
bool is_loopback(std::string_view ip);

/// `host:port` or `[ipv6]:port`; the host is returned without brackets and is not checked further.
std::optional<Address> parse_address(std::string_view text);
/// The text that parse_address() reads back.
std::string format_address(const Address& address);

/// An endpoint as written in `backends.*.endpoints.static`: scheme, host and port, nothing else.
struct EndpointUrl {
    bool https = false;
    std::string host;  ///< IP literal without brackets, or a name
    std::uint16_t port = 0;
    bool operator==(const EndpointUrl&) const = default;
};

/// `http://127.0.0.1:8001`, `https://[::1]`; the port defaults to 80 or 443, one trailing `/` is
/// allowed.
std::optional<EndpointUrl> parse_endpoint_url(std::string_view text);

/// A network; IPv4 uses the first four bytes.
struct Cidr {
    std::array<std::uint8_t, 16> bytes{};
    std::uint8_t prefix = 0;
    bool v6 = false;
    bool operator==(const Cidr&) const = default;
};

/// `10.0.0.0/8`, `fd00::/8`, or a single address. Bits behind the prefix must be zero.
std::optional<Cidr> parse_cidr(std::string_view text);

}  // namespace millrace::config
