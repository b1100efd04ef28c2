#include "gateway/runtime/socket.hpp"

#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <utility>

#include "config/base/assert.hpp"
#include "gateway/runtime/loop.hpp"
#include "gateway/runtime/pieces.hpp"
#include "gateway/tls/session.hpp"

namespace millrace::gateway {
namespace {

IoResult from_errno(ssize_t result) {
    if (result > 0) {
        return {IoStatus::ok, static_cast<std::size_t>(result)};
    }
    if (result == 0) {
        return {IoStatus::eof, 0};
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) {
        return {IoStatus::blocked, 0};
    }
    return {IoStatus::failed, 0};
}

/// A descriptor, or minus the errno that says why there is none.
int open_socket(int family) {
    const int opened = ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return opened >= 0 ? opened : -errno;
}

/// Gather writes up to this size are copied together.
constexpr std::size_t kCoalesced = 4096;

using Vectors = std::array<iovec, Socket::kMaxPieces>;

std::size_t to_iovecs(std::span<const std::string_view> pieces, Vectors& vectors) {
    std::size_t count = 0;
    for (const auto piece : pieces) {
        if (count == vectors.size()) {
            break;
        }
        if (!piece.empty()) {
            vectors[count++] = {const_cast<char*>(piece.data()), piece.size()};
        }
    }
    return count;
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

IoResult Socket::read_some(char* data, std::size_t size) {
    if (tls_ != nullptr) {
        return read_tls(data, size);
    }
    const IoResult result = from_errno(::recv(descriptor_, data, size, 0));
    // A short read has emptied the socket: the next byte makes a new edge. After a hang-up there
    // will be none.
    if (result.status == IoStatus::blocked || (result.bytes < size && !hung_up_)) {
        readable_ = false;
    }
    return result;
}

IoResult Socket::read_tls(char* data, std::size_t size) {
    const Step step = tls_->read(data, size);
    read_wants_write_ = step.want == Want::write;
    if (read_wants_write_) {
        writable_ = false;
    } else if (step.want == Want::read) {
        readable_ = false;
    }
    if (step.bytes > 0) {
        return {IoStatus::ok, step.bytes};
    }
    switch (step.want) {
        case Want::closed: return {IoStatus::eof, 0};
        case Want::none:
        case Want::read:
        case Want::write: return {IoStatus::blocked, 0};
        case Want::failed: break;
    }
    return {IoStatus::failed, 0};
}

IoResult Socket::write_some(std::span<const std::string_view> pieces) {
    if (tls_ != nullptr) {
        return write_tls(pieces);
    }
    if (const std::size_t size = total_size(pieces); size <= kCoalesced) {
        return write_small(pieces, size);
    }
    [[clang::uninitialized]] Vectors vectors;
    msghdr message{};
    message.msg_iov = vectors.data();
    message.msg_iovlen = to_iovecs(pieces, vectors);
    if (message.msg_iovlen == 0) {
        return {IoStatus::ok, 0};
    }
    const IoResult result = from_errno(::sendmsg(descriptor_, &message, MSG_NOSIGNAL));
    if (result.status != IoStatus::ok) {
        writable_ = false;
    }
    return result.status == IoStatus::eof ? IoResult{IoStatus::blocked, 0} : result;
}

IoResult Socket::write_small(std::span<const std::string_view> pieces, std::size_t size) {
    // Copying a few kilobytes costs less than handing the kernel a list.
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): filled before it is read
    [[clang::uninitialized]] std::array<char, kCoalesced> bytes;
    char* end = bytes.data();
    for (const auto piece : pieces) {
        end = std::copy(piece.begin(), piece.end(), end);
    }
    if (size == 0) {
        return {IoStatus::ok, 0};
    }
    const IoResult result = from_errno(::send(descriptor_, bytes.data(), size, MSG_NOSIGNAL));
    if (result.status != IoStatus::ok) {
        writable_ = false;
    }
    return result;
}

IoResult Socket::write_tls(std::span<const std::string_view> pieces) {
    [[clang::uninitialized]] Vectors vectors;
    const std::size_t count = to_iovecs(pieces, vectors);
    if (count == 0) {
        return {IoStatus::ok, 0};
    }
    const Step step = tls_->write(std::span(vectors.data(), count));
    write_wants_read_ = step.want == Want::read;
    if (write_wants_read_) {
        readable_ = false;
    } else if (step.want == Want::write) {
        writable_ = false;
    }
    if (step.bytes > 0) {
        return {IoStatus::ok, step.bytes};
    }
    if (step.want == Want::write || step.want == Want::read) {
        return {IoStatus::blocked, 0};
    }
    return {step.want == Want::none ? IoStatus::ok : IoStatus::failed, 0};
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
