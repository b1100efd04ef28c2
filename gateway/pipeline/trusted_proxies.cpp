#include "gateway/pipeline/trusted_proxies.hpp"

#include <algorithm>

namespace millrace::gateway {
namespace {

/// IPv4 as IPv4-mapped IPv6, so that both spellings of an address are one.
config::Cidr to_v6(const config::Cidr& network) {
    if (network.v6) {
        return network;
    }
    config::Cidr mapped;
    mapped.v6 = true;
    mapped.prefix = static_cast<std::uint8_t>(96 + network.prefix);
    mapped.bytes[10] = mapped.bytes[11] = 0xff;
    std::copy_n(network.bytes.begin(), 4, mapped.bytes.begin() + 12);
    return mapped;
}

bool covers(const config::Cidr& network, const config::Cidr& address) {
    const unsigned whole = network.prefix / 8U;
    if (!std::equal(network.bytes.begin(), network.bytes.begin() + whole, address.bytes.begin())) {
        return false;
    }
    const unsigned rest = network.prefix % 8U;
    const auto mask = static_cast<std::uint8_t>(0xff00U >> rest);
    return rest == 0 || (network.bytes[whole] & mask) == (address.bytes[whole] & mask);
}

}  // namespace

TrustedProxies TrustedProxies::parse(const std::vector<std::string>& networks) {
    TrustedProxies result;
    for (const auto& text : networks) {
        if (const auto network = config::parse_cidr(text)) {
            result.networks_.push_back(to_v6(*network));
        }
    }
    return result;
}

bool TrustedProxies::contains(std::string_view address) const {
    if (networks_.empty()) {
        return false;
    }
    const auto parsed = config::parse_cidr(address);
    if (!parsed) {
        return false;
    }
    return std::ranges::any_of(networks_, [address = to_v6(*parsed)](const config::Cidr& network) {
        return covers(network, address);
    });
}

}  // namespace millrace::gateway
