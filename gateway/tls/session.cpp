#include "gateway/tls/session.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <new>

namespace millrace::gateway {
namespace {

constexpr std::size_t kRecord = 16 * 1024;

SSL* make_ssl(SSL_CTX* context, int socket) {
    SSL* ssl = SSL_new(context);
    if (ssl == nullptr || SSL_set_fd(ssl, socket) != 1) {
        SSL_free(ssl);
        ERR_clear_error();
        throw std::bad_alloc();  // SSL_new fails for nothing else once the context is made
    }
    return ssl;
}

/// Walks a list of spans without touching it.
class SpanCursor {
public:
    explicit SpanCursor(std::span<const iovec> spans) : spans_(spans) { skip_empty(); }

    bool at_end() const { return spans_.empty(); }
    bool in_last() const { return spans_.size() == 1; }
    const char* data() const { return static_cast<const char*>(spans_.front().iov_base) + offset_; }
    std::size_t size() const { return spans_.front().iov_len - offset_; }

    void advance(std::size_t bytes) {
        while (bytes > 0) {
            const auto step = std::min(bytes, size());
            offset_ += step;
            bytes -= step;
            skip_empty();
        }
    }

private:
    void skip_empty() {
        while (!spans_.empty() && offset_ == spans_.front().iov_len) {
            spans_ = spans_.subspan(1);
            offset_ = 0;
        }
    }

    std::span<const iovec> spans_;
    std::size_t offset_ = 0;
};

std::string first_name(const GENERAL_NAMES* names, int type) {
    for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
        const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
        if (name->type != type) {
            continue;
        }
        // URI and DNS share the representation (IA5String).
        const ASN1_STRING* text = name->d.ia5;
        std::string value(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                          static_cast<std::size_t>(ASN1_STRING_length(text)));
        // An embedded NUL or control character is an attempt to look like another name.
        const bool printable =
            std::ranges::all_of(value, [](char c) { return c > 0x20 && c < 0x7f; });
        if (printable && !value.empty()) {
            return value;
        }
    }
    return {};
}

}  // namespace

void TlsSession::SslFree::operator()(SSL* ssl) const {
    SSL_free(ssl);
}

TlsSession::TlsSession(const TlsServerContext& context, int socket)
    : ssl_(make_ssl(context.native(), socket)) {
    SSL_set_accept_state(ssl_.get());
}

TlsSession::TlsSession(const TlsClientContext& context, int socket,
                       const std::string& endpoint_host)
    : ssl_(make_ssl(context.native(), socket)) {
    SSL* ssl = ssl_.get();
    SSL_set_connect_state(ssl);
    if (!context.apply(ssl, endpoint_host)) {
        failure_ =
            "The server name " + context.server_name(endpoint_host) + " cannot be used for TLS.";
    }
}

Step TlsSession::outcome(int result, std::size_t bytes, std::string_view doing) {
    const int system_error = errno;
    switch (SSL_get_error(ssl_.get(), result)) {
        case SSL_ERROR_NONE: return {Want::none, bytes};
        case SSL_ERROR_WANT_READ: return {Want::read, bytes};
        case SSL_ERROR_WANT_WRITE: return {Want::write, bytes};
        case SSL_ERROR_ZERO_RETURN: return {Want::closed, bytes};
        case SSL_ERROR_SYSCALL:
            ERR_clear_error();
            failure_ = "TLS " + std::string(doing) + " failed: " +
                       (system_error != 0 ? std::strerror(system_error) : "connection ended") + ".";
            return {Want::failed, bytes};
        default: break;
    }
    failure_ = "TLS " + std::string(doing) + " failed: ";
    if (const long verify = SSL_get_verify_result(ssl_.get());
        verify != X509_V_OK && !SSL_is_init_finished(ssl_.get())) {
        failure_ += std::string(X509_verify_cert_error_string(verify)) + ", ";
    }
    failure_ += take_openssl_error() + ".";
    return {Want::failed, bytes};
}

Step TlsSession::handshake() {
    if (!failure_.empty()) {
        return {Want::failed, 0};
    }
    ERR_clear_error();
    errno = 0;
    const int result = SSL_do_handshake(ssl_.get());
    return outcome(result, 0, "handshake");
}

Step TlsSession::read(void* buffer, std::size_t size) {
    if (!failure_.empty()) {
        return {Want::failed, 0};
    }
    std::size_t total = 0;
    // Several records may fit; stop at the first that has to wait, so that one call drains what has
    // arrived.
    while (total < size) {
        ERR_clear_error();
        errno = 0;
        std::size_t moved = 0;
        const int result =
            SSL_read_ex(ssl_.get(), static_cast<char*>(buffer) + total, size - total, &moved);
        if (result == 1) {
            total += moved;
            continue;
        }
        return outcome(result, total, "read");
    }
    return {Want::none, total};
}

Step TlsSession::write(std::span<const iovec> spans) {
    if (!failure_.empty()) {
        return {Want::failed, 0};
    }
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): filled before it is read
    [[clang::uninitialized]] std::array<char, kRecord> record;
    SpanCursor cursor(spans);
    std::size_t total = 0;
    while (!cursor.at_end()) {
        const char* from = cursor.data();
        std::size_t size = std::min(cursor.size(), kRecord);
        if (size < kRecord && !cursor.in_last()) {
            // What goes into a record depends only on the bytes that remain, so a retry offers
            // OpenSSL the same ones.
            SpanCursor ahead = cursor;
            size = 0;
            while (!ahead.at_end() && size < kRecord) {
                const auto part = std::min(ahead.size(), kRecord - size);
                std::memcpy(record.data() + size, ahead.data(), part);
                size += part;
                ahead.advance(part);
            }
            from = record.data();
        }
        ERR_clear_error();
        errno = 0;
        std::size_t moved = 0;
        const int result = SSL_write_ex(ssl_.get(), from, size, &moved);
        if (result != 1) {
            return outcome(result, total, "write");
        }
        total += moved;
        cursor.advance(moved);
    }
    return {Want::none, total};
}

Step TlsSession::shutdown() {
    if (!failure_.empty() || !SSL_is_init_finished(ssl_.get())) {
        return {Want::none,
                0};  // nothing was agreed, or the connection is broken: no one reads a farewell
    }
    ERR_clear_error();
    errno = 0;
    const int result = SSL_shutdown(ssl_.get());
    if (result >= 0) {
        return {Want::none, 0};
    }
    return outcome(result, 0, "shutdown");
}

bool TlsSession::has_pending() const {
    return SSL_has_pending(ssl_.get()) == 1;
}

std::string_view TlsSession::alpn() const {
    const unsigned char* name = nullptr;
    unsigned int size = 0;
    SSL_get0_alpn_selected(ssl_.get(), &name, &size);
    return {reinterpret_cast<const char*>(name), size};
}

std::string_view TlsSession::protocol() const {
    return SSL_get_version(ssl_.get());
}

std::string_view TlsSession::cipher() const {
    return SSL_get_cipher_name(ssl_.get());
}

std::string TlsSession::peer_identity() const {
    const X509* certificate = SSL_get0_peer_certificate(ssl_.get());
    if (certificate == nullptr || SSL_get_verify_result(ssl_.get()) != X509_V_OK) {
        return {};
    }
    auto* names = static_cast<GENERAL_NAMES*>(
        X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
    if (names == nullptr) {
        return {};
    }
    std::string identity = first_name(names, GEN_URI);
    if (identity.empty()) {
        identity = first_name(names, GEN_DNS);
    }
    GENERAL_NAMES_free(names);
    return identity;
}

}  // namespace millrace::gateway
