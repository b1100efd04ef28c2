#include "routing/discovery.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <utility>

#include "config/address_syntax.hpp"

namespace millrace::routing {
namespace {

using Bytes16 = std::array<std::uint8_t, 16>;

bool parse_ipv4(std::string_view text, std::span<std::uint8_t, 4> out) {
    const std::string copy(text);
    return inet_pton(AF_INET, copy.c_str(), out.data()) == 1;
}

bool parse_ipv6(std::string_view text, Bytes16& out) {
    const std::string copy(text.substr(0, text.find('%')));  // without a zone
    return inet_pton(AF_INET6, copy.c_str(), out.data()) == 1;
}

/// What is special about an IPv4 address, or empty.
std::string_view special_ipv4(std::span<const std::uint8_t, 4> a) {
    if (a[0] == 127) {
        return "is a loopback address";
    }
    if (a[0] == 169 && a[1] == 254) {
        return "is link-local, where cloud metadata services live";
    }
    if (a[0] == 0) {
        return "is in 0.0.0.0/8, which means this host";
    }
    if (a[0] >= 224 && a[0] < 240) {
        return "is a multicast address";
    }
    return a[0] >= 240 ? "is reserved or broadcast" : "";
}

bool starts_with(const Bytes16& address, std::initializer_list<std::uint8_t> prefix) {
    return std::equal(prefix.begin(), prefix.end(), address.begin());
}

/// What is special about an IPv6 address, or empty.
std::string_view special_ipv6(const Bytes16& a) {
    // The forms that carry an IPv4 address in their last four bytes: mapped, compatible (:: and ::1
    // among them), NAT64.
    const bool mapped = starts_with(a, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff});
    const bool compatible = starts_with(a, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
    const bool nat64 = starts_with(a, {0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0});
    if (compatible && a[12] == 0 && a[13] == 0 && a[14] == 0 && a[15] <= 1) {
        return a[15] == 1 ? "is a loopback address" : "is the unspecified address";
    }
    if (mapped || compatible || nat64) {
        return special_ipv4(std::span<const std::uint8_t, 4>(a.data() + 12, 4));
    }
    if (a[0] == 0xff) {
        return "is a multicast address";
    }
    if (a[0] == 0xfe && (a[1] & 0xc0U) == 0x80) {
        return "is link-local, where cloud metadata services live";
    }
    static constexpr Bytes16 kEc2 = {0xfd, 0, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54};
    return a == kEc2 ? "is the EC2 metadata service" : "";
}

}  // namespace

Result<EndpointAddress> parse_endpoint_url(std::string_view url) {
    auto parsed = config::parse_endpoint_url(url);
    if (!parsed) {
        return failure(Errc::bad_field, Origin::policy,
                       "The endpoint URL \"" + std::string(url) +
                           "\" is not a scheme, a host and a port; write it like "
                           "http://host:8000.");
    }
    return EndpointAddress{std::move(parsed->host), parsed->port, parsed->https, ""};
}

std::optional<std::string> refused_address(std::string_view address) {
    std::string_view why;
    Bytes16 ipv6{};
    std::array<std::uint8_t, 4> ipv4{};
    if (parse_ipv4(address, ipv4)) {
        why = special_ipv4(ipv4);
    } else if (parse_ipv6(address, ipv6)) {
        why = special_ipv6(ipv6);
    } else {
        why = "is not an IP address";
    }
    if (why.empty()) {
        return std::nullopt;
    }
    return std::string(address) + " " + std::string(why);
}

Discovery discover(const config::Endpoints& configured, const std::vector<std::string>& answer,
                   const std::vector<EndpointAddress>& last_good, bool trusted) {
    Discovery result;
    for (const auto& url : configured.static_urls) {
        if (auto address = parse_endpoint_url(url)) {
            result.endpoints.push_back(std::move(*address));
        } else {
            result.problems.push_back(std::move(address.error().detail));
        }
    }
    if (!configured.dns) {
        return result;
    }
    const auto& dns = *configured.dns;
    for (const auto& text : answer) {
        if (const auto refused = trusted ? std::nullopt : refused_address(text)) {
            result.problems.push_back("The name " + dns.name +
                                      " resolves to an address that is not used: " + *refused +
                                      ".");
            continue;
        }
        result.from_dns.push_back({text, dns.port, dns.https, dns.name});
    }
    if (result.from_dns.empty()) {
        result.kept_last_good = !last_good.empty();
        result.from_dns = last_good;
    }
    // Resolvers rotate their answers; a stable order keeps an unchanged set unchanged.
    std::ranges::sort(result.from_dns, {}, &EndpointAddress::host);
    result.endpoints.insert(result.endpoints.end(), result.from_dns.begin(), result.from_dns.end());
    return result;
}

}  // namespace millrace::routing
