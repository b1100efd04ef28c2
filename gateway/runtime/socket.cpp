#include "gateway/runtime/socket.hpp"

#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <utility>

#include "config/base/assert.hpp"
#include "gateway/tls/session.hpp"

namespace millrace::gateway {
namespace {

using boost::system::error_code;

/// Memory of one outstanding Asio operation, kept with the socket so that arming a wait never allocates.
class OperationMemory {
public:
    void* allocate(std::size_t size) {
        if (size <= bytes_.size() && !in_use_) {
            in_use_ = true;
            return bytes_.data();
        }
        return ::operator new(size);
    }
    void deallocate(void* pointer) {
        if (pointer == bytes_.data()) {
            in_use_ = false;
        } else {
            ::operator delete(pointer);
        }
    }

private:
    alignas(std::max_align_t) std::array<std::byte, 160> bytes_;
    bool in_use_ = false;
};

template <class T>
struct OperationAllocator {
    using value_type = T;
    OperationMemory* memory;

    explicit OperationAllocator(OperationMemory* owner) : memory(owner) {}
    template <class U>
    OperationAllocator(const OperationAllocator<U>& other) : memory(other.memory) {}  // NOLINT: conversion
    T* allocate(std::size_t n) { return static_cast<T*>(memory->allocate(n * sizeof(T))); }
    void deallocate(T* pointer, std::size_t) { memory->deallocate(pointer); }
    template <class U>
    bool operator==(const OperationAllocator<U>& other) const {
        return memory == other.memory;
    }
};

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

std::size_t to_iovecs(std::span<const std::string_view> pieces,
                      std::array<iovec, Socket::kMaxPieces>& vectors) {
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

struct Socket::Waits {
    struct Slot {
        std::coroutine_handle<> waiter;
        bool armed = false;
        OperationMemory memory;
    };

    struct Handler {
        using allocator_type = OperationAllocator<std::byte>;
        Waits* waits;
        Direction direction;

        allocator_type get_allocator() const noexcept {
            return allocator_type(&waits->slot(direction).memory);
        }
        void operator()(error_code) const { waits->fired(direction); }
    };

    explicit Waits(Socket* socket) : owner(socket) {}

    Slot& slot(Direction direction) { return direction == Direction::read ? read : write; }

    void fired(Direction direction) {
        Slot& fired_slot = slot(direction);
        fired_slot.armed = false;
        const auto waiter = std::exchange(fired_slot.waiter, nullptr);
        Socket* const socket = owner;
        release();  // after this only `socket` and locals
        if (waiter) {
            waiter.resume();
        } else if (socket != nullptr && direction == Direction::read && socket->is_open() &&
                   socket->listener_ != nullptr) {
            socket->listener_(socket->listener_context_);
        }
    }

    void release() {
        if (--references == 0) {
            delete this;
        }
    }

    Socket* owner;
    std::uint32_t references = 1;
    Slot read;
    Slot write;
};

Socket::Socket(TcpSocket socket) : socket_(std::move(socket)), waits_(new Waits(this)) {}

Socket::~Socket() {
    close();
    MILLRACE_ASSERT(!waits_->read.waiter && !waits_->write.waiter);
    waits_->owner = nullptr;
    waits_->release();
}

Task<bool> Socket::handshake(std::unique_ptr<TlsSession> session) {
    tls_ = std::move(session);
    while (socket_.is_open()) {
        switch (tls_->handshake().want) {
            case Want::none: co_return true;
            case Want::read: co_await readable(); break;
            case Want::write: co_await writable(); break;
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
    return from_errno(::recv(socket_.native_handle(), data, size, 0));
}

IoResult Socket::read_tls(char* data, std::size_t size) {
    const Step step = tls_->read(data, size);
    read_wants_write_ = step.want == Want::write;
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
    std::array<iovec, kMaxPieces> vectors;
    msghdr message{};
    message.msg_iov = vectors.data();
    message.msg_iovlen = to_iovecs(pieces, vectors);
    if (message.msg_iovlen == 0) {
        return {IoStatus::ok, 0};
    }
    const ssize_t sent = ::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL);
    return sent == 0 ? IoResult{IoStatus::blocked, 0} : from_errno(sent);
}

IoResult Socket::write_tls(std::span<const std::string_view> pieces) {
    std::array<iovec, kMaxPieces> vectors;
    const std::size_t count = to_iovecs(pieces, vectors);
    if (count == 0) {
        return {IoStatus::ok, 0};
    }
    const Step step = tls_->write(std::span(vectors.data(), count));
    write_wants_read_ = step.want == Want::read;
    if (step.bytes > 0) {
        return {IoStatus::ok, step.bytes};
    }
    if (step.want == Want::write || step.want == Want::read) {
        return {IoStatus::blocked, 0};
    }
    return {step.want == Want::none ? IoStatus::ok : IoStatus::failed, 0};
}

bool Socket::ReadinessAwaiter::await_ready() const noexcept {
    if (!socket.socket_.is_open()) {
        return true;
    }
    return direction == Direction::read && socket.tls_ != nullptr && socket.tls_->has_pending();
}

void Socket::ReadinessAwaiter::await_suspend(std::coroutine_handle<> waiter) const {
    // TLS may need the other direction before this one can go on.
    Direction wanted = direction;
    if (direction == Direction::read && socket.read_wants_write_) {
        wanted = Direction::write;
    } else if (direction == Direction::write && socket.write_wants_read_) {
        wanted = Direction::read;
    }
    auto& slot = socket.waits_->slot(wanted);
    MILLRACE_ASSERT(!slot.waiter);
    slot.waiter = waiter;
    socket.arm(wanted);
}

void Socket::arm(Direction direction) {
    auto& slot = waits_->slot(direction);
    if (slot.armed) {
        return;
    }
    slot.armed = true;
    ++waits_->references;
    socket_.async_wait(direction == Direction::read ? TcpSocket::wait_read : TcpSocket::wait_write,
                       Waits::Handler{waits_, direction});
}

void Socket::watch() {
    if (socket_.is_open()) {
        arm(Direction::read);
    }
}

void Socket::cancel() {
    error_code ignored;
    socket_.cancel(ignored);
}

void Socket::close(bool reset) {
    if (!socket_.is_open()) {
        return;
    }
    error_code ignored;
    if (reset) {
        socket_.set_option(boost::asio::socket_base::linger(true, 0), ignored);
    }
    socket_.close(ignored);
}

void Socket::shutdown_write() {
    if (tls_ != nullptr && socket_.is_open()) {
        tls_->shutdown();
    }
    error_code ignored;
    socket_.shutdown(boost::asio::socket_base::shutdown_send, ignored);
}

bool Socket::peer_closed() const {
    tcp_info info{};
    socklen_t size = sizeof(info);
    auto& socket = const_cast<TcpSocket&>(socket_);
    if (::getsockopt(socket.native_handle(), IPPROTO_TCP, TCP_INFO, &info, &size) != 0) {
        return true;
    }
    return info.tcpi_state != TCP_ESTABLISHED;
}

void ConnectAwaiter::await_suspend(std::coroutine_handle<> waiter) {
    socket_.async_connect(endpoint_, [this, waiter](error_code error) {
        error_ = error;
        waiter.resume();
    });
}

}  // namespace millrace::gateway
