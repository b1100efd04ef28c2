// TLS settings as immutable, shared objects: one for a listener, one for a backend.
//
// Mozilla guideline 6.0 "intermediate": TLS 1.2 and 1.3, AEAD suites with forward secrecy, the
// client's order preferred, X25519MLKEM768 where the library knows it; ALPN http/1.1; no
// renegotiation, compression, tickets or early data. A reload loads a new context and publishes it;
// sessions that run keep theirs, because SSL holds a reference. Thread-safety: immutable after
// load(); any number of threads make sessions from one context.
#pragma once

#include <memory>
#include <string>

#include "config/base/error.hpp"
#include "config/model.hpp"

struct ssl_ctx_st;
struct ssl_st;

namespace millrace::gateway {

struct SslContextFree {
    void operator()(ssl_ctx_st* context) const;
};
using SslContextPtr = std::unique_ptr<ssl_ctx_st, SslContextFree>;

class TlsServerContext {
public:
    /// Reads certificate chain, key and client CA. Errors name the file and OpenSSL's reason.
    static Result<std::shared_ptr<const TlsServerContext>> load(
        const config::ListenerTls& settings);

    ssl_ctx_st* native() const { return context_.get(); }

private:
    explicit TlsServerContext(SslContextPtr context) : context_(std::move(context)) {}
    SslContextPtr context_;
};

class TlsClientContext {
public:
    /// Reads the CA bundle (or the system's store) and the client certificate, if one is set.
    static Result<std::shared_ptr<const TlsClientContext>> load(
        const config::UpstreamTls& settings);

    ssl_ctx_st* native() const { return context_.get(); }
    /// The name to verify and send as SNI for an endpoint with that host (a name, or an IP literal
    /// without brackets).
    const std::string& server_name(const std::string& endpoint_host) const {
        return server_name_.empty() ? endpoint_host : server_name_;
    }
    /// Sets the name to verify and the SNI of a session to `endpoint_host`. False if the name
    /// cannot be used; such a session must not be used either, because it would accept any
    /// certificate of the CA.
    bool apply(ssl_st* ssl, const std::string& endpoint_host) const;

private:
    TlsClientContext(SslContextPtr context, const std::string& server_name)
        : context_(std::move(context)), server_name_(server_name) {}
    SslContextPtr context_;
    std::string server_name_;
};

/// The oldest reason in this thread's OpenSSL error queue as text, and empties the queue; "unknown
/// reason" when empty.
std::string take_openssl_error();

}  // namespace millrace::gateway
