#include "routing/discovery.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>

namespace millrace::routing {
namespace {

using Bytes16 = std::array<std::uint8_t, 16>;

Error bad_url(std::string_view url, std::string_view why) {
    return Error{Errc::bad_field, Origin::policy,
                 "The endpoint URL \"" + std::string(url) + "\" " + std::string(why) +
                     "; write it like http://host:8000."};
}

bool all_of(std::string_view text, auto allowed) {
    return std::ranges::all_of(text, allowed);
}

bool is_host_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
}

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
    EndpointAddress address;
    std::string_view rest = url;
    if (rest.starts_with("http://")) {
        rest.remove_prefix(7);
    } else if (rest.starts_with("https://")) {
        rest.remove_prefix(8);
        address.https = true;
    } else {
        return std::unexpected(bad_url(url, "does not begin with http:// or https://"));
    }
    if (rest.ends_with('/')) {
        rest.remove_suffix(1);
    }
    std::string_view port;
    bool has_port = false;
    if (rest.starts_with('[')) {
        const auto close = rest.find(']');
        Bytes16 ignored{};
        if (close == std::string_view::npos || !parse_ipv6(rest.substr(1, close - 1), ignored)) {
            return std::unexpected(bad_url(url, "has no valid IPv6 address in its brackets"));
        }
        address.host = rest.substr(1, close - 1);
        rest.remove_prefix(close + 1);
        has_port = !rest.empty();
        port = has_port && rest[0] == ':' ? rest.substr(1) : "";
    } else {
        const auto colon = rest.find(':');
        address.host = rest.substr(0, colon);
        has_port = colon != std::string_view::npos;
        port = has_port ? rest.substr(colon + 1) : "";
        if (address.host.empty() || !all_of(address.host, is_host_char)) {
            return std::unexpected(bad_url(url, "has no valid host, or a path, query or user"));
        }
    }
    address.port = address.https ? 443 : 80;
    if (has_port) {
        const auto* end = port.data() + port.size();
        const auto parsed = std::from_chars(port.data(), end, address.port);
        if (parsed.ec != std::errc{} || parsed.ptr != end || address.port == 0) {
            return std::unexpected(bad_url(url, "has no port between 1 and 65535 after its colon"));
        }
    }
    return address;
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
