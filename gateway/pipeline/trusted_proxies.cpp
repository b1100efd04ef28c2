#include "gateway/pipeline/trusted_proxies.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

namespace millrace::gateway {

std::optional<TrustedProxies::Bytes> TrustedProxies::to_bytes(std::string_view address) {
    const std::string text(address);
    Bytes bytes{};
    if (::inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1) {
        return bytes;
    }
    bytes[10] = bytes[11] = 0xff;
    if (::inet_pton(AF_INET, text.c_str(), bytes.data() + 12) == 1) {
        return bytes;
    }
    return std::nullopt;
}

TrustedProxies TrustedProxies::parse(const std::vector<std::string>& networks) {
    TrustedProxies result;
    for (const std::string_view text : networks) {
        const auto slash = text.find('/');
        const auto prefix = to_bytes(text.substr(0, slash));
        if (!prefix) {
            continue;
        }
        Network network{*prefix, 128};
        if (slash != std::string_view::npos) {
            const auto digits = text.substr(slash + 1);
            unsigned bits = 0;
            const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
            const bool is_v4 = text.find(':') == std::string_view::npos;
            if (parsed.ec != std::errc{} || bits > (is_v4 ? 32U : 128U)) {
                continue;
            }
            network.bits = is_v4 ? 96 + bits : bits;
        }
        result.networks_.push_back(network);
    }
    return result;
}

bool TrustedProxies::contains(std::string_view address) const {
    if (networks_.empty()) {
        return false;
    }
    const auto bytes = to_bytes(address);
    return bytes && std::ranges::any_of(networks_, [&bytes](const Network& network) {
               const unsigned whole = network.bits / 8;
               if (!std::equal(bytes->begin(), bytes->begin() + whole, network.prefix.begin())) {
                   return false;
               }
               const unsigned rest = network.bits % 8;
               const auto mask = static_cast<std::uint8_t>(0xff00U >> rest);
               return rest == 0 || ((*bytes)[whole] & mask) == (network.prefix[whole] & mask);
           });
}

}  // namespace millrace::gateway
