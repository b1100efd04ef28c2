#include "tests/support/socket.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <stdexcept>

namespace millrace::test {

namespace {

sockaddr_in socket_address(std::string_view address, std::uint16_t port) {
    sockaddr_in result{};
    result.sin_family = AF_INET;
    result.sin_port = htons(port);
    if (::inet_pton(AF_INET, std::string(address).c_str(), &result.sin_addr) != 1) {
        throw std::runtime_error("not an IPv4 address: " + std::string(address));
    }
    return result;
}

const sockaddr* generic(const sockaddr_in& address) {
    return reinterpret_cast<const sockaddr*>(&address);
}

bool wait_for(int fd, short events, const Deadline& deadline) {
    for (;;) {
        pollfd entry{fd, events, 0};
        const int ready = ::poll(&entry, 1, deadline.left());
        if (ready > 0) {
            return true;
        }
        if (ready == 0 || errno != EINTR) {
            return false;
        }
    }
}

Fd bound(std::uint16_t port, const std::string& on_address) {
    Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const auto address = socket_address(on_address, port);
    if (::bind(socket.get(), generic(address), sizeof address) != 0) {
        return {};
    }
    return socket;
}

}  // namespace

void Fd::reset() {
    if (fd_ >= 0) {
        ::close(std::exchange(fd_, -1));
    }
}

const std::string& loopback() {
    static const std::string address = [] {
        const auto pid = static_cast<unsigned>(::getpid());
        return "127." + std::to_string(1 + pid / 62'500 % 250) + '.' +
               std::to_string(1 + pid / 250 % 250) + '.' + std::to_string(1 + pid % 250);
    }();
    return address;
}

std::uint16_t free_port() {
    // Below the ephemeral range, so that no outgoing connection takes it between here and its use.
    static std::atomic<unsigned> next{0};
    for (int attempt = 0; attempt < 2'000; ++attempt) {
        const auto port = static_cast<std::uint16_t>(10'000 + next++ % 20'000);
        if (bound(port, loopback())) {
            return port;
        }
    }
    throw std::runtime_error("no free port on " + loopback());
}

Fd listen_on(std::uint16_t port, int backlog, const std::string& address) {
    Fd socket = bound(port, address);
    if (!socket || ::listen(socket.get(), backlog) != 0) {
        throw std::runtime_error("cannot listen on " + address + ':' + std::to_string(port));
    }
    return socket;
}

std::uint16_t local_port(const Fd& socket) {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size);
    return ntohs(address.sin_port);
}

Fd connect_to(std::string_view address, std::uint16_t port) {
    Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto target = socket_address(address, port);
    if (::connect(socket.get(), generic(target), sizeof target) != 0) {
        return {};
    }
    const int on = 1;
    ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return socket;
}

Fd begin_connect(std::string_view address, std::uint16_t port) {
    Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const auto target = socket_address(address, port);
    if (::connect(socket.get(), generic(target), sizeof target) != 0 && errno != EINPROGRESS) {
        return {};
    }
    return socket;
}

ReadOutcome read_some(const Fd& socket, std::string& into, const Deadline& deadline) {
    char buffer[65536];
    for (;;) {
        const auto count = ::recv(socket.get(), buffer, sizeof buffer, MSG_DONTWAIT);
        if (count > 0) {
            into.append(buffer, static_cast<std::size_t>(count));
            return ReadOutcome::data;
        }
        if (count == 0) {
            return ReadOutcome::end;
        }
        if (errno == EAGAIN) {
            if (!wait_for(socket.get(), POLLIN, deadline)) {
                return ReadOutcome::timeout;
            }
        } else if (errno != EINTR) {
            return ReadOutcome::reset;
        }
    }
}

bool write_all(const Fd& socket, std::string_view bytes, const Deadline& deadline) {
    while (!bytes.empty()) {
        const auto count =
            ::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count >= 0) {
            bytes.remove_prefix(static_cast<std::size_t>(count));
        } else if (errno == EAGAIN) {
            if (!wait_for(socket.get(), POLLOUT, deadline)) {
                return false;
            }
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

NeverAccepting::NeverAccepting() : listener_(listen_on(0, 0)) {
    for (int i = 0; i < 4; ++i) {
        queue_.push_back(begin_connect(loopback(), local_port(listener_)));
    }
}

std::string NeverAccepting::url() const {
    return "http://" + loopback() + ':' + std::to_string(local_port(listener_));
}

void reset_connection(Fd& socket) {
    const linger now{1, 0};
    ::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    socket.reset();
}

void half_close(const Fd& socket) {
    ::shutdown(socket.get(), SHUT_WR);
}

}  // namespace millrace::test
