// TrustedProxies: the networks whose forwarding header fields are believed. Thread-safety:
// immutable after parse().
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/address_syntax.hpp"

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
    std::vector<config::Cidr> networks_;
};

}  // namespace millrace::gateway
