#include "bench/load/connection.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace millrace::load {
namespace {

/// Shared by all connections: only one is read at a time, and nothing stays in it.
std::array<char, 256UL << 10U> scratch;

sockaddr_in address_of(const char* host, std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    if (::inet_pton(AF_INET, host, &address.sin_addr) != 1) {
        throw std::invalid_argument(std::string(host) + " is not an IPv4 address");
    }
    return address;
}

void set(int fd, int level, int option) {
    const int one = 1;
    ::setsockopt(fd, level, option, &one, sizeof one);
}

}  // namespace

Connection::Connection(Loop& loop, Handler& handler, const Options& options, std::uint32_t index)
    : loop_(loop), handler_(handler), options_(options), index_(index) {}

void Connection::send(std::string_view head, std::string_view body) {
    head_ = head;
    body_ = body;
    sent_ = 0;
    busy_ = true;
    has_head_ = false;
    status_ = 0;
    held_.clear();
    parser_.reset();
    if (fd_ < 0 && !open()) {
        // Told later: a handler that sends again from on_failure must not recurse.
        loop_.at(Loop::now(), [this] { fail("cannot connect"); });
        return;
    }
    if (!connecting_) {
        flush();
    }
}

bool Connection::open() {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd_ < 0) {
        return false;
    }
    set(fd_, IPPROTO_TCP, TCP_NODELAY);
    if (options_.sources > 0) {
        // The port is chosen at connect(), per destination, not per source.
        set(fd_, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT);
        const std::string source = "127.0.0." + std::to_string(2 + index_ % options_.sources);
        const sockaddr_in from = address_of(source.c_str(), 0);
        if (::bind(fd_, std::bit_cast<const sockaddr*>(&from), sizeof from) != 0) {
            close();
            return false;
        }
    }
    const sockaddr_in to = address_of(options_.host.c_str(), options_.port);
    const int result = ::connect(fd_, std::bit_cast<const sockaddr*>(&to), sizeof to);
    if (result != 0 && errno != EINPROGRESS) {
        close();
        return false;
    }
    ++opened_;
    connecting_ = result != 0;
    wants_write_ = connecting_;
    loop_.add(fd_, wants_write_ ? EPOLLIN | EPOLLOUT : EPOLLIN, *this);
    return true;
}

void Connection::close() {
    if (fd_ >= 0) {
        ::close(fd_);
        fd_ = -1;
    }
    connecting_ = false;
    busy_ = false;
}

void Connection::reset() {
    if (fd_ >= 0) {
        const linger at_once{1, 0};
        ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    }
    close();
}

void Connection::on_ready(std::uint32_t events) {
    if (fd_ < 0) {
        return;  // closed earlier in the same batch of events
    }
    if (connecting_) {
        int error = 0;
        socklen_t size = sizeof error;
        ::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error != 0) {
            fail(std::strerror(error));
            return;
        }
        if ((events & EPOLLOUT) == 0) {
            return;
        }
        connecting_ = false;
    }
    if ((events & EPOLLOUT) != 0 && busy_) {
        flush();
    }
    if (fd_ >= 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        read();
    }
}

void Connection::flush() {
    const std::size_t total = head_.size() + body_.size();
    while (sent_ < total) {
        const std::string_view head = head_.substr(std::min(sent_, head_.size()));
        const std::string_view body = body_.substr(sent_ - std::min(sent_, head_.size()));
        std::array<iovec, 2> pieces{{{const_cast<char*>(head.data()), head.size()},
                                     {const_cast<char*>(body.data()), body.size()}}};
        msghdr message{};
        message.msg_iov = pieces.data();
        message.msg_iovlen = pieces.size();
        const ssize_t sent = ::sendmsg(fd_, &message, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EAGAIN) {
                want_write(true);
                return;
            }
            // An answer may be waiting (a refusal sent before the body was read).
            want_write(false);
            return;
        }
        sent_ += static_cast<std::size_t>(sent);
    }
    want_write(false);
}

void Connection::want_write(bool wanted) {
    if (wanted != wants_write_) {
        wants_write_ = wanted;
        loop_.change(fd_, wanted ? EPOLLIN | EPOLLOUT : EPOLLIN, *this);
    }
}

void Connection::read() {
    const ssize_t size = ::recv(fd_, scratch.data(), scratch.size(), 0);
    if (size > 0) {
        consume({scratch.data(), static_cast<std::size_t>(size)});
    } else if (size == 0) {
        end_of_file();
    } else if (errno != EAGAIN) {
        const bool was_busy = busy_;
        if (was_busy) {
            fail(std::strerror(errno));
        } else {
            close();
            handler_.on_idle_close(*this);
        }
    }
}

void Connection::consume(std::string_view data) {
    if (!busy_) {
        fail("bytes without a request");
        return;
    }
    std::string_view rest = data;
    if (!has_head_ && !take_head(data, rest)) {
        return;
    }
    take_body(rest);
}

/// False while the head is incomplete, and when it failed.
bool Connection::take_head(std::string_view data, std::string_view& rest) {
    std::string_view buffer = data;
    if (!held_.empty()) {
        held_ += data;
        buffer = held_;
    }
    const auto parsed = parser_.parse(buffer);
    if (!parsed) {
        fail(parsed.error().detail);
        return false;
    }
    if (*parsed == http1::ParseStatus::need_more) {
        if (held_.empty()) {
            held_.assign(data);
        }
        return false;
    }
    const http1::ResponseHead& head = parser_.head();
    if (head.informational()) {
        fail("an interim response nobody asked for");
        return false;
    }
    has_head_ = true;
    status_ = head.status;
    body_left_ = head.framing.kind == http1::BodyKind::length ? head.framing.content_length : 0;
    chunks_.reset();
    rest = buffer.substr(parser_.consumed());
    return true;
}

void Connection::take_body(std::string_view rest) {
    switch (parser_.head().framing.kind) {
        case http1::BodyKind::none: complete(rest); return;
        case http1::BodyKind::chunked: take_chunks(rest); return;
        case http1::BodyKind::until_close:
            handler_.on_body(*this, rest);
            handler_.on_read(*this);
            return;
        case http1::BodyKind::length: break;
    }
    const std::size_t size = std::min<std::uint64_t>(rest.size(), body_left_);
    if (size > 0) {
        handler_.on_body(*this, rest.substr(0, size));
        handler_.on_read(*this);
    }
    body_left_ -= size;
    if (body_left_ == 0) {
        complete(rest.substr(size));
    }
}

void Connection::take_chunks(std::string_view rest) {
    while (!rest.empty() && !chunks_.done()) {
        const auto piece = chunks_.next(rest);
        if (!piece) {
            fail(piece.error().detail);
            return;
        }
        if (!piece->empty()) {
            handler_.on_body(*this, *piece);
        }
    }
    handler_.on_read(*this);
    if (chunks_.done()) {
        complete(rest);
    }
}

void Connection::end_of_file() {
    if (!busy_) {
        close();
        handler_.on_idle_close(*this);
    } else if (has_head_ && parser_.head().framing.kind == http1::BodyKind::until_close) {
        complete({});
    } else {
        fail(has_head_ ? "closed within the body" : "closed before the response");
    }
}

void Connection::complete(std::string_view rest) {
    if (!rest.empty()) {
        fail("bytes behind the response");
        return;
    }
    if (sent_ < head_.size() + body_.size() || !parser_.head().keep_alive) {
        close();
    }
    busy_ = false;
    handler_.on_response(*this);
}

void Connection::fail(std::string_view why) {
    close();
    handler_.on_failure(*this, why);
}

}  // namespace millrace::load
