#include "gateway/adapters/resolver.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <set>

namespace millrace::gateway {
namespace {

struct AddressListFree {
    void operator()(addrinfo* list) const { freeaddrinfo(list); }
};

/// Empty for a family that is neither IPv4 nor IPv6.
std::string to_literal(const sockaddr* address) {
    const void* bytes = nullptr;
    if (address->sa_family == AF_INET) {
        bytes = &reinterpret_cast<const sockaddr_in*>(address)->sin_addr;
    } else if (address->sa_family == AF_INET6) {
        bytes = &reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr;
    }
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (bytes == nullptr ||
        inet_ntop(address->sa_family, bytes, text.data(), text.size()) == nullptr) {
        return {};
    }
    return text.data();
}

}  // namespace

Result<std::vector<std::string>> resolve_name(const std::string& name) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_ADDRCONFIG;
    addrinfo* raw = nullptr;
    const int result = getaddrinfo(name.c_str(), nullptr, &hints, &raw);
    if (result != 0) {
        const char* reason = result == EAI_SYSTEM ? std::strerror(errno) : gai_strerror(result);
        return failure(Errc::upstream_connect_failed, Origin::upstream,
                       "The name " + name + " does not resolve: " + reason + ".");
    }
    const std::unique_ptr<addrinfo, AddressListFree> list(raw);
    std::set<std::string> addresses;
    for (const addrinfo* entry = list.get(); entry != nullptr; entry = entry->ai_next) {
        if (auto address = to_literal(entry->ai_addr); !address.empty()) {
            addresses.insert(std::move(address));
        }
    }
    if (addresses.empty()) {
        return failure(Errc::upstream_connect_failed, Origin::upstream,
                       "The name " + name + " has no address.");
    }
    return std::vector<std::string>(addresses.begin(), addresses.end());
}

}  // namespace millrace::gateway
