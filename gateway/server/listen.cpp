#include "gateway/server/listen.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <string_view>

namespace millrace::gateway {
namespace {

/// As many as the kernel allows (net.core.somaxconn caps it): a burst of new clients must not be
/// refused.
constexpr int kBacklog = 65'535;

std::unexpected<Error> cannot_listen(const config::Address& address, const std::string& why) {
    return failure(
        Errc::internal, Origin::internal,
        "Cannot listen on " + address.host + ":" + std::to_string(address.port) + ": " + why + ".");
}

bool is_listening(int descriptor) {
    int accepting = 0;
    socklen_t size = sizeof(accepting);
    return ::getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &accepting, &size) == 0 &&
           accepting == 1;
}

std::optional<int> to_int(const std::optional<std::string>& text) {
    int value = 0;
    if (!text ||
        std::from_chars(text->data(), text->data() + text->size(), value).ec != std::errc{}) {
        return std::nullopt;
    }
    return value;
}

}  // namespace

Listener& Listener::operator=(Listener&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
}

Listener::~Listener() {
    if (descriptor_ >= 0) {
        ::close(descriptor_);
    }
}

std::uint16_t Listener::port() const {
    sockaddr_storage address{};
    socklen_t size = sizeof(address);
    ::getsockname(descriptor_, reinterpret_cast<sockaddr*>(&address), &size);
    return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(address).sin6_port
                                               : reinterpret_cast<sockaddr_in&>(address).sin_port);
}

Result<Listener> Listener::bind(const config::Address& address) {
    addrinfo hints{};
    hints.ai_flags = AI_PASSIVE | AI_NUMERICHOST;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    std::string host = address.host;
    if (host.starts_with('[') && host.ends_with(']')) {
        host = host.substr(1, host.size() - 2);
    }
    const int resolved =
        ::getaddrinfo(host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
    if (resolved != 0) {
        return cannot_listen(address, ::gai_strerror(resolved));
    }
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned(found, &::freeaddrinfo);
    Listener listener(::socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const int on = 1;
    ::setsockopt(listener.native(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (listener.native() < 0 ||
        ::bind(listener.native(), found->ai_addr, found->ai_addrlen) != 0 ||
        ::listen(listener.native(), kBacklog) != 0) {
        return cannot_listen(address, std::strerror(errno));
    }
    return listener;
}

bool Listener::give_away(int unix_socket) const {
    char byte = 'L';
    iovec data{&byte, 1};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &descriptor_, sizeof(int));
    return ::sendmsg(unix_socket, &message, MSG_NOSIGNAL) == 1;
}

std::optional<Listener> Listener::receive(int unix_socket) {
    char byte = 0;
    iovec data{&byte, 1};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    if (::recvmsg(unix_socket, &message, MSG_CMSG_CLOEXEC) != 1) {
        return std::nullopt;
    }
    const cmsghdr* header = CMSG_FIRSTHDR(&message);
    if (header == nullptr || header->cmsg_type != SCM_RIGHTS) {
        return std::nullopt;
    }
    int descriptor = -1;
    std::memcpy(&descriptor, CMSG_DATA(header), sizeof(int));
    return Listener(descriptor);
}

std::optional<Listener> inherited_listener(
    const std::string& name,
    const std::function<std::optional<std::string>(const char*)>& environment, int pid,
    int first_descriptor) {
    if (to_int(environment("LISTEN_PID")) != pid) {
        return std::nullopt;
    }
    const int count = to_int(environment("LISTEN_FDS")).value_or(0);
    std::string_view names = "data";
    const auto given = environment("LISTEN_FDNAMES");
    if (given) {
        names = *given;
    }
    for (int i = 0; i < count; ++i) {
        const auto colon = names.find(':');
        const auto current = names.substr(0, colon);
        names = colon == std::string_view::npos ? std::string_view{} : names.substr(colon + 1);
        if (current != name) {
            continue;
        }
        const int descriptor = first_descriptor + i;
        if (!is_listening(descriptor)) {
            return std::nullopt;
        }
        ::fcntl(descriptor, F_SETFD, FD_CLOEXEC);
        ::fcntl(descriptor, F_SETFL, O_NONBLOCK);
        return Listener(descriptor);
    }
    return std::nullopt;
}

}  // namespace millrace::gateway
