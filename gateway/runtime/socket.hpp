// Socket: a connected TCP stream, plain or TLS, with non-blocking reads and writes and awaitable
// readiness.
//
// Reads and writes try the system call and say `blocked` when there is nothing to do; only then
// does a coroutine wait, without holding a buffer. While no coroutine waits, readiness to read goes
// to the listener, which is how a client's hang-up during its request and a byte on an idle pooled
// connection are noticed. Lifetime: a coroutine that waits must be resumed (cancel or close) before
// the Socket is destroyed. Thread-safety: none; one worker.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <coroutine>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <system_error>

#include "gateway/runtime/task.hpp"

namespace millrace::gateway {

class Loop;
class TlsSession;

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

    /// Takes over a non-blocking descriptor.
    Socket(Loop& loop, int descriptor);
    /// A new socket for connect().
    Socket(Loop& loop, const boost::asio::ip::tcp& protocol);
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;
    ~Socket();

    /// Awaits the connection; `operation_canceled` after cancel() or close().
    Task<std::error_code> connect(boost::asio::ip::tcp::endpoint where);

    /// Awaits the handshake over `session`; false when it failed or the wait was ended. Afterwards
    /// reads and writes go through it.
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

    /// Who is told when the socket becomes readable while no coroutine waits for that.
    void set_listener(Listener listener, void* context) {
        listener_ = listener;
        listener_context_ = context;
    }
    /// A read would make progress, as far as is known.
    bool may_read() const;
    /// The peer has sent FIN or RST; bytes before it may be left to read.
    bool peer_closed() const { return hung_up_; }

    /// Ends all waits, on the loop's next turn; the connection stays usable.
    void cancel();
    /// Ends all waits and the connection. With `reset` the peer gets RST instead of FIN.
    void close(bool reset = false);
    /// FIN after what was written.
    void shutdown_write();
    bool is_open() const { return descriptor_ >= 0; }
    int native() const { return descriptor_; }

private:
    enum class Direction : std::uint8_t { read, write };
    struct Target;

    struct ReadinessAwaiter {
        Socket& socket;
        Direction direction;
        bool await_ready() const noexcept;
        void await_suspend(std::coroutine_handle<> waiter) const;
        void await_resume() const noexcept {}
    };

    void on_events(std::uint32_t events);
    IoResult read_tls(char* data, std::size_t size);
    IoResult write_small(std::span<const std::string_view> pieces, std::size_t size);
    IoResult write_tls(std::span<const std::string_view> pieces);

    Loop& loop_;
    int descriptor_;  // negative: minus the errno that says why there is none
    Target* target_;
    std::unique_ptr<TlsSession> tls_;
    Listener listener_ = nullptr;
    void* listener_context_ = nullptr;
    std::coroutine_handle<> reader_;
    std::coroutine_handle<> writer_;
    bool readable_ = false;  // what the last event or system call said
    bool writable_ = false;
    bool hung_up_ = false;
    bool read_wants_write_ = false;  // TLS: the read side waits for room to write, or
    bool write_wants_read_ = false;  // the write side for bytes to read
};

}  // namespace millrace::gateway
