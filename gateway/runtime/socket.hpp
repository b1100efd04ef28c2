// Socket: a connected TCP stream, plain or TLS, with non-blocking reads and writes and awaitable readiness.
//
// Reads and writes try the system call first and say `blocked` when there is nothing to do; only then does a coroutine
// wait for readiness, without holding a buffer. At most one readiness wait per direction is outstanding. The read wait
// may stay armed with no coroutine behind it: then readiness goes to the listener, which is how a client's hang-up
// during its request and a byte on an idle pooled connection are noticed at no extra system call.
// Lifetime: waits that are pending when the Socket is destroyed end without touching it; a coroutine that is waiting
// must be resumed (cancel or close) before. Thread-safety: none; one worker.
#pragma once

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <coroutine>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "gateway/runtime/task.hpp"

namespace millrace::gateway {

class TlsSession;

using TcpSocket = boost::asio::basic_stream_socket<boost::asio::ip::tcp,
                                                   boost::asio::io_context::executor_type>;

enum class IoStatus : std::uint8_t {
    ok,
    blocked,  ///< nothing to read, or no room to write: await readable() or writable()
    eof,      ///< the peer ended its direction in order
    failed,   ///< reset, broken pipe, TLS failure
};

struct IoResult {
    IoStatus status = IoStatus::ok;
    std::size_t bytes = 0;
};

class Socket {
public:
    using Listener = void (*)(void* context);
    struct Waits;  // outlives the Socket while a wait is outstanding

    explicit Socket(TcpSocket socket);
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;
    ~Socket();

    /// Awaits the handshake over `session`; false when it failed or the wait was ended. Afterwards reads
    /// and writes go through it.
    Task<bool> handshake(std::unique_ptr<TlsSession> session);
    TlsSession* tls() { return tls_.get(); }

    IoResult read_some(char* data, std::size_t size);
    /// Gather write of at most the first kMaxPieces pieces.
    IoResult write_some(std::span<const std::string_view> pieces);
    static constexpr std::size_t kMaxPieces = 64;

    /// Awaitable; resumes when a read would make progress, or after cancel() or close().
    auto readable() { return ReadinessAwaiter{*this, Direction::read}; }
    /// Awaitable; resumes when a write would make progress, or after cancel() or close().
    auto writable() { return ReadinessAwaiter{*this, Direction::write}; }

    /// Who is told when the socket becomes readable while no coroutine waits for it.
    void set_listener(Listener listener, void* context) {
        listener_ = listener;
        listener_context_ = context;
    }
    /// Makes sure that a read wait is outstanding.
    void watch();

    /// Ends all waits; the connection stays usable.
    void cancel();
    /// Ends all waits and the connection. With `reset` the peer gets RST instead of FIN.
    void close(bool reset = false);
    /// FIN after what was written.
    void shutdown_write();
    bool is_open() const { return socket_.is_open(); }
    /// Whether the peer has sent FIN, without reading (TCP_INFO); for a connection that must not be read further.
    bool peer_closed() const;

    TcpSocket& raw() { return socket_; }

private:
    friend struct Waits;
    enum class Direction : std::uint8_t { read, write };

    struct ReadinessAwaiter {
        Socket& socket;
        Direction direction;
        bool await_ready() const noexcept;
        void await_suspend(std::coroutine_handle<> waiter) const;
        void await_resume() const noexcept {}
    };

    void arm(Direction direction);
    IoResult read_tls(char* data, std::size_t size);
    IoResult write_tls(std::span<const std::string_view> pieces);

    TcpSocket socket_;
    Waits* waits_;
    std::unique_ptr<TlsSession> tls_;
    bool read_wants_write_ = false;  // TLS: the read side waits for room to write, or
    bool write_wants_read_ = false;  // the write side for bytes to read
    Listener listener_ = nullptr;
    void* listener_context_ = nullptr;
};

/// Awaitable connect: resumes with the error code; ended by Socket::close or cancel.
class ConnectAwaiter {
public:
    ConnectAwaiter(TcpSocket& socket, const boost::asio::ip::tcp::endpoint& endpoint)
        : socket_(socket), endpoint_(endpoint) {}
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiter);
    boost::system::error_code await_resume() const noexcept { return error_; }

private:
    TcpSocket& socket_;
    const boost::asio::ip::tcp::endpoint& endpoint_;
    boost::system::error_code error_;
};

}  // namespace millrace::gateway
