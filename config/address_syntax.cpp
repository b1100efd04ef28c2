#include "config/address_syntax.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <limits>

#include "config/syntax.hpp"

namespace millrace::config {

namespace {

template <class Parse>
bool parses_as(std::string_view text, Parse parse) {
    return text.size() < INET6_ADDRSTRLEN && parse(std::string(text).c_str());
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
    const auto value = parse_count(text);
    if (!value || *value > std::numeric_limits<std::uint16_t>::max()) {
        return std::nullopt;
    }
    return static_cast<std::uint16_t>(*value);
}

}  // namespace

std::optional<Address> parse_address(std::string_view text) {
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos) {
        return std::nullopt;
    }
    auto host = text.substr(0, colon);
    const auto port = parse_port(text.substr(colon + 1));
    if (host.starts_with('[')) {
        if (!host.ends_with(']') || !is_ipv6(host.substr(1, host.size() - 2))) {
            return std::nullopt;
        }
        host = host.substr(1, host.size() - 2);
    } else if (host.find(':') != std::string_view::npos) {
        return std::nullopt;
    }
    if (host.empty() || !port) {
        return std::nullopt;
    }
    return Address{std::string(host), *port};
}

std::string format_address(const Address& address) {
    const bool brackets = address.host.find(':') != std::string::npos;
    return (brackets ? "[" + address.host + "]" : address.host) + ":" +
           std::to_string(address.port);
}

bool is_ipv4(std::string_view text) {
    in_addr out{};
    return parses_as(text, [&](const char* s) { return inet_pton(AF_INET, s, &out) == 1; });
}

bool is_ipv6(std::string_view text) {
    in6_addr out{};
    return parses_as(text, [&](const char* s) { return inet_pton(AF_INET6, s, &out) == 1; });
}

bool is_loopback(std::string_view ip) {
    const auto parsed = parse_cidr(ip);
    if (!parsed || ip.find('/') != std::string_view::npos) {
        return false;
    }
    if (!parsed->v6) {
        return parsed->bytes[0] == 127;
    }
    return std::ranges::count(parsed->bytes, 0) == 15 && parsed->bytes[15] == 1;
}

std::optional<EndpointUrl> parse_endpoint_url(std::string_view text) {
    EndpointUrl url;
    if (text.starts_with("http://")) {
        text.remove_prefix(7);
    } else if (text.starts_with("https://")) {
        text.remove_prefix(8);
        url.https = true;
    } else {
        return std::nullopt;
    }
    if (text.ends_with('/')) {
        text.remove_suffix(1);
    }
    url.port = url.https ? 443 : 80;
    if (const auto close = text.find(']'); text.starts_with('[') && close != text.npos) {
        url.host = text.substr(1, close - 1);
        text.remove_prefix(close + 1);
        if (!is_ipv6(url.host) || (!text.empty() && text.front() != ':')) {
            return std::nullopt;
        }
    } else {
        const auto colon = std::min(text.find(':'), text.size());
        url.host = text.substr(0, colon);
        text.remove_prefix(colon);
        // A name of digits and dots only would be an address that we read differently from the
        // resolver.
        const bool numeric = url.host.find_first_not_of("0123456789.") == std::string::npos;
        if (numeric ? !is_ipv4(url.host) : !is_host_name(url.host)) {
            return std::nullopt;
        }
    }
    if (!text.empty()) {
        const auto port = parse_port(text.substr(1));
        if (!port || *port == 0) {
            return std::nullopt;
        }
        url.port = *port;
    }
    return url;
}

std::optional<Cidr> parse_cidr(std::string_view text) {
    const auto slash = std::min(text.find('/'), text.size());
    const auto host = text.substr(0, slash);
    Cidr cidr;
    if (parses_as(host, [&](const char* s) { return inet_pton(AF_INET, s, &cidr.bytes) == 1; })) {
        cidr.prefix = 32;
    } else if (parses_as(host,
                         [&](const char* s) { return inet_pton(AF_INET6, s, &cidr.bytes) == 1; })) {
        cidr.prefix = 128;
        cidr.v6 = true;
    } else {
        return std::nullopt;
    }
    if (slash == text.size()) {
        return cidr;
    }
    const auto prefix = parse_count(text.substr(slash + 1));
    if (!prefix || *prefix > cidr.prefix) {
        return std::nullopt;
    }
    for (unsigned bit = static_cast<unsigned>(*prefix); bit < cidr.prefix; ++bit) {
        if ((cidr.bytes[bit / 8] & (0x80U >> (bit % 8))) != 0) {
            return std::nullopt;
        }
    }
    cidr.prefix = static_cast<std::uint8_t>(*prefix);
    return cidr;
}

}  // namespace millrace::config
