#include "gateway/runtime/socket.hpp"

#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "config/base/assert.hpp"
#include "gateway/runtime/loop.hpp"
#include "gateway/tls/session.hpp"

namespace millrace::gateway {
namespace {

/// A descriptor, or minus the errno that says why there is none.
int open_socket(int family) {
    const int opened = ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return opened >= 0 ? opened : -errno;
}

}  // namespace

/// The part of a socket that the poller and posted wake-ups know; it forgets the socket when that
/// goes.
struct Socket::Target final : PollTarget {
    explicit Target(Socket* of) : socket(of) {}

    void on_events(std::uint32_t events) override {
        if (socket != nullptr) {
            socket->on_events(events);
        }
    }

    Socket* socket;
    std::uint32_t posted = 0;  // wake-ups on their way
};

Socket::Socket(Loop& loop, int descriptor)
    : loop_(loop), descriptor_(descriptor), target_(new Target(this)) {
    loop_.count_socket(1);
    if (!loop_.poller().add(descriptor_, *target_)) {
        close();
    }
}

Socket::Socket(Loop& loop, const boost::asio::ip::tcp& protocol)
    : loop_(loop), descriptor_(open_socket(protocol.family())), target_(new Target(this)) {
    if (descriptor_ < 0) {
        return;  // connect() says so
    }
    loop_.count_socket(1);
    const int on = 1;
    ::setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

Socket::~Socket() {
    MILLRACE_ASSERT(!reader_ && !writer_);
    close();
    target_->socket = nullptr;
    if (target_->posted == 0) {
        loop_.poller().retire(target_);
    }
}

Task<std::error_code> Socket::connect(boost::asio::ip::tcp::endpoint where) {
    if (descriptor_ < 0) {
        co_return std::error_code(-descriptor_, std::generic_category());
    }
    const int started = ::connect(descriptor_, where.data(), static_cast<socklen_t>(where.size()));
    if (started != 0 && errno != EINPROGRESS) {
        co_return std::error_code(errno, std::generic_category());
    }
    if (!loop_.poller().add(descriptor_, *target_)) {
        co_return std::error_code(errno, std::generic_category());
    }
    co_await writable();
    if (descriptor_ < 0 || !writable_) {
        co_return std::make_error_code(std::errc::operation_canceled);
    }
    int error = 0;
    socklen_t size = sizeof(error);
    ::getsockopt(descriptor_, SOL_SOCKET, SO_ERROR, &error, &size);
    co_return std::error_code(error, std::generic_category());
}

Task<bool> Socket::handshake(std::unique_ptr<TlsSession> session) {
    tls_ = std::move(session);
    while (is_open()) {
        switch (tls_->handshake().want) {
            case Want::none: co_return true;
            case Want::read:
                readable_ = false;
                co_await readable();
                break;
            case Want::write:
                writable_ = false;
                co_await writable();
                break;
            case Want::closed:
            case Want::failed: co_return false;
        }
    }
    co_return false;
}

bool Socket::may_read() const {
    return readable_ || hung_up_ || (tls_ != nullptr && tls_->has_pending());
}

bool Socket::ReadinessAwaiter::await_ready() const noexcept {
    if (!socket.is_open()) {
        return true;
    }
    const bool for_reading =
        direction == Direction::read ? !socket.read_wants_write_ : socket.write_wants_read_;
    return for_reading ? socket.may_read() : socket.writable_;
}

void Socket::ReadinessAwaiter::await_suspend(std::coroutine_handle<> waiter) const {
    // TLS may need the other direction before this one can go on.
    const bool for_reading =
        direction == Direction::read ? !socket.read_wants_write_ : socket.write_wants_read_;
    auto& slot = for_reading ? socket.reader_ : socket.writer_;
    MILLRACE_ASSERT(!slot);
    slot = waiter;
}

void Socket::on_events(std::uint32_t events) {
    hung_up_ = hung_up_ || (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    const bool reads = (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    readable_ = readable_ || reads;
    writable_ = writable_ || (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0;
    // Either continuation may destroy this socket; only the target tells whether it did.
    Target* const target = target_;
    if (writable_ && writer_) {
        std::exchange(writer_, nullptr).resume();
        if (target->socket == nullptr) {
            return;
        }
    }
    if (!reads || !is_open()) {
        return;
    }
    if (reader_) {
        std::exchange(reader_, nullptr).resume();
    } else if (listener_ != nullptr) {
        listener_(listener_context_);
    }
}

void Socket::cancel() {
    if (!reader_ && !writer_) {
        return;
    }
    // Not from here: the caller may be part of what the resumed coroutine destroys.
    ++target_->posted;
    loop_.post([target = target_, &poller = loop_.poller()] {
        for (auto slot : {&Socket::reader_, &Socket::writer_}) {
            if (target->socket != nullptr && target->socket->*slot) {
                std::exchange(target->socket->*slot, nullptr).resume();
            }
        }
        if (--target->posted == 0 && target->socket == nullptr) {
            poller.retire(target);
        }
    });
}

void Socket::close(bool reset) {
    if (descriptor_ < 0) {
        return;
    }
    if (reset) {
        const linger now{1, 0};
        ::setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    }
    ::close(std::exchange(descriptor_, -ECANCELED));
    loop_.count_socket(-1);
    cancel();
}

void Socket::shutdown_write() {
    if (tls_ != nullptr && is_open()) {
        tls_->shutdown();
    }
    ::shutdown(descriptor_, SHUT_WR);
}

}  // namespace millrace::gateway
