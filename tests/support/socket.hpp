// Plain blocking sockets with deadlines, for clients and backends in tests. Not our codec and not
// Asio: a bug there must not hide itself here. Every test process has a loopback address of its own
// (127.a.b.c from its pid), so that suites that run side by side never want the same port.
// Thread-safety: none per object.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/deadline.hpp"

namespace millrace::test {

/// Owns a file descriptor.
class Fd {
public:
    Fd() = default;
    explicit Fd(int fd) : fd_(fd) {}
    Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Fd& operator=(Fd&& other) noexcept {
        if (this != &other) {
            reset();
            fd_ = std::exchange(other.fd_, -1);
        }
        return *this;
    }
    Fd(const Fd&) = delete;
    Fd& operator=(const Fd&) = delete;
    ~Fd() { reset(); }
    int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }
    void reset();

private:
    int fd_ = -1;
};

/// The loopback address of this test process.
const std::string& loopback();

/// A port of loopback() that nothing listens on; never the same twice in one process.
std::uint16_t free_port();

/// Listening socket (port 0 = any); throws std::runtime_error when that fails.
Fd listen_on(std::uint16_t port, int backlog = 1024, const std::string& address = loopback());

/// Port that a socket is bound to.
std::uint16_t local_port(const Fd& socket);

/// Connected socket with TCP_NODELAY, or an empty one when the peer refuses.
Fd connect_to(std::string_view address, std::uint16_t port);

/// A socket whose connection has been asked for; it may never come about.
Fd begin_connect(std::string_view address, std::uint16_t port);

enum class ReadOutcome { data, end, reset, timeout };

/// Appends what is there to `into`, waiting up to the deadline for the first byte.
ReadOutcome read_some(const Fd& socket, std::string& into, const Deadline& deadline);

/// Writes everything; false on error or when the deadline passes first.
bool write_all(const Fd& socket, std::string_view bytes, const Deadline& deadline);

/// A listener that never accepts and whose queue is full, so that connecting to it neither succeeds
/// nor fails.
class NeverAccepting {
public:
    NeverAccepting();
    std::string url() const;

private:
    Fd listener_;
    std::vector<Fd> queue_;
};

/// Ends the connection with RST instead of FIN.
void reset_connection(Fd& socket);

/// FIN after what was written; reading goes on.
void half_close(const Fd& socket);

}  // namespace millrace::test
