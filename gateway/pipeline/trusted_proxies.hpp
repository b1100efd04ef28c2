// TrustedProxies: the networks whose forwarding header fields are believed. Thread-safety:
// immutable after parse().
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::gateway {

class TrustedProxies {
public:
    /// `networks`: addresses or CIDR blocks, IPv4 or IPv6; what does not parse is left out
    /// (validation names it).
    static TrustedProxies parse(const std::vector<std::string>& networks);

    /// `address`: an IP literal.
    bool contains(std::string_view address) const;
    bool empty() const { return networks_.empty(); }

private:
    using Bytes = std::array<std::uint8_t, 16>;  // IPv4 as IPv4-mapped IPv6
    struct Network {
        Bytes prefix{};
        unsigned bits = 128;
    };
    static std::optional<Bytes> to_bytes(std::string_view address);

    std::vector<Network> networks_;
};

}  // namespace millrace::gateway
