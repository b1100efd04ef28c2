// One TLS connection over a non-blocking socket, without an event loop: each call does what it can
// and says what it waits for; the caller awaits that readiness and calls again.
//
// This is not asio::ssl::stream because that keeps 70 KiB per idle connection; here OpenSSL
// releases its record buffers whenever they are empty. OpenSSL may hold decrypted bytes, so await
// readability only after read() said Want::read. The socket is borrowed: the session neither closes
// nor owns it, and the socket must outlive the session. Thread-safety: none; one session belongs to
// one thread.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "gateway/tls/context.hpp"

struct ssl_st;

namespace millrace::gateway {

enum class Want : std::uint8_t {
    none,    ///< done (read: the buffer is full; write: everything was taken)
    read,    ///< call again when the socket is readable
    write,   ///< call again with the rest (the same bytes first) when the socket is writable
    closed,  ///< the peer sent close_notify: a clean end
    failed,  ///< broken, truncated or refused; see failure()
};

/// Outcome of one call. `bytes` were moved before `want` came up: look at them first, whatever
/// `want` is.
struct Step {
    Want want = Want::none;
    std::size_t bytes = 0;
};

class TlsSession {
public:
    /// The server's side of an accepted connection.
    TlsSession(const TlsServerContext& context, int socket);
    /// The client's side; `endpoint_host` is verified and sent as SNI unless the context names
    /// another.
    TlsSession(const TlsClientContext& context, int socket, const std::string& endpoint_host);
    TlsSession(TlsSession&&) noexcept = default;
    TlsSession& operator=(TlsSession&&) noexcept = default;

    Step handshake();
    /// Takes all that has arrived and fits.
    Step read(void* buffer, std::size_t size);
    /// Gathers small spans into one record of at most 16 KiB; larger ones go out without a copy.
    Step write(std::span<const iovec> spans);
    /// Sends close_notify (does not wait for the peer's). Want::write: call again when writable.
    Step shutdown();

    /// Decrypted or buffered bytes are waiting inside OpenSSL.
    bool has_pending() const;
    /// After the handshake: the agreed protocol, empty if the peer offered none.
    std::string_view alpn() const;
    /// `TLSv1.3` and the like, and the suite's name.
    std::string_view protocol() const;
    std::string_view cipher() const;
    /// The verified peer's first URI SAN (SPIFFE), else its first DNS SAN; empty without a
    /// certificate. Never the CN.
    std::string peer_identity() const;
    /// Why the last call failed, as a sentence; empty otherwise.
    const std::string& failure() const { return failure_; }

private:
    struct SslFree {
        void operator()(ssl_st* ssl) const;
    };

    Step outcome(int result, std::size_t bytes, std::string_view doing);

    std::unique_ptr<ssl_st, SslFree> ssl_;
    std::string failure_;
};

}  // namespace millrace::gateway
