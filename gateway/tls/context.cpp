#include "gateway/tls/context.hpp"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <string_view>

namespace millrace::gateway {
namespace {

// Mozilla guideline 6.0, "intermediate".
constexpr const char* kSuites13 =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
constexpr const char* kSuites12 =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
// OpenSSL 3.0 refuses a list with a group it does not know, hence the second one.
constexpr std::array kGroups{"X25519MLKEM768:X25519:P-256:P-384", "X25519:P-256:P-384"};
/// RSA and DH of 2048 bits, ECC of 224 and more; no SHA-1 signatures.
constexpr int kSecurityLevel = 2;

constexpr std::array<unsigned char, 9> kAlpnHttp11{8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

std::unexpected<Error> bad_file(std::string_view what, const std::string& file) {
    return failure(Errc::internal, Origin::internal,
                   "The " + std::string(what) + " in " + file +
                       " cannot be used: " + take_openssl_error() + ".");
}

/// OpenSSL reports an unreadable file in its own words ("system lib"); the system's reason is
/// clearer.
Result<void> check_readable(std::string_view what, const std::string& file) {
    errno = 0;
    const std::ifstream stream(file);
    if (!stream) {
        return failure(Errc::internal, Origin::internal,
                       "The " + std::string(what) + " file " + file +
                           " cannot be read: " + std::strerror(errno) + ".");
    }
    return {};
}

/// OpenSSL's default would ask for the passphrase on the terminal, and a server must never wait
/// there.
int refuse_passphrase(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*data*/) {
    return -1;
}

bool is_ip_literal(const std::string& host) {
    std::array<unsigned char, sizeof(in6_addr)> address{};
    return inet_pton(AF_INET, host.c_str(), address.data()) == 1 ||
           inet_pton(AF_INET6, host.c_str(), address.data()) == 1;
}

int choose_alpn(SSL* /*ssl*/, const unsigned char** out, unsigned char* out_size,
                const unsigned char* offered, unsigned int offered_size, void* /*data*/) {
    unsigned char* chosen = nullptr;
    const int result = SSL_select_next_proto(&chosen, out_size, kAlpnHttp11.data(),
                                             kAlpnHttp11.size(), offered, offered_size);
    if (result != OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_ALERT_FATAL;  // RFC 7301: no_application_protocol
    }
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

Result<SslContextPtr> make_context(const SSL_METHOD* method) {
    ERR_clear_error();
    SslContextPtr context(SSL_CTX_new(method));
    SSL_CTX* ctx = context.get();
    bool good = ctx != nullptr;
    good = good && SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1;
    good = good && SSL_CTX_set_ciphersuites(ctx, kSuites13) == 1;
    good = good && SSL_CTX_set_cipher_list(ctx, kSuites12) == 1;
    bool groups = false;
    for (const char* list : kGroups) {
        groups = groups || (good && SSL_CTX_set1_groups_list(ctx, list) == 1);
    }
    if (!good || !groups) {
        return failure(
            Errc::internal, Origin::internal,
            "OpenSSL refused the TLS settings of this build: " + take_openssl_error() + ".");
    }
    ERR_clear_error();
    SSL_CTX_set_security_level(ctx, kSecurityLevel);
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_default_passwd_cb(ctx, refuse_passphrase);
    // One recv per record instead of two (header, body). Safe because callers read until
    // Want::read.
    SSL_CTX_set_read_ahead(ctx, 1);
    return context;
}

Result<void> use_certificate(SSL_CTX* context, const std::string& certificate,
                             const std::string& key) {
    for (const auto& [what, file] : {std::pair{"certificate", &certificate}, {"key", &key}}) {
        if (auto readable = check_readable(what, *file); !readable) {
            return readable;
        }
    }
    if (SSL_CTX_use_certificate_chain_file(context, certificate.c_str()) != 1) {
        return bad_file("certificate", certificate);
    }
    if (SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1) {
        return bad_file("key (for the certificate " + certificate + ")", key);
    }
    if (SSL_CTX_check_private_key(context) != 1) {
        return bad_file("key (for the certificate " + certificate + ")", key);
    }
    return {};
}

Result<void> ask_client_certificates(SSL_CTX* context, const config::ListenerTls& settings) {
    if (settings.client_certificates == config::ClientCertificates::none) {
        return {};
    }
    if (auto readable = check_readable("client CA", settings.client_ca); !readable) {
        return readable;
    }
    if (SSL_CTX_load_verify_file(context, settings.client_ca.c_str()) != 1) {
        return bad_file("client CA", settings.client_ca);
    }
    auto* names = SSL_load_client_CA_file(settings.client_ca.c_str());
    if (names == nullptr) {
        return bad_file("client CA", settings.client_ca);
    }
    SSL_CTX_set_client_CA_list(context, names);  // takes ownership
    int mode = SSL_VERIFY_PEER;
    if (settings.client_certificates == config::ClientCertificates::required) {
        mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    }
    SSL_CTX_set_verify(context, mode, nullptr);
    return {};
}

}  // namespace

void SslContextFree::operator()(SSL_CTX* context) const {
    SSL_CTX_free(context);
}

std::string take_openssl_error() {
    const auto code = ERR_get_error();
    ERR_clear_error();
    if (code == 0) {
        return "unknown reason";
    }
    if (ERR_SYSTEM_ERROR(code)) {
        return std::strerror(ERR_GET_REASON(code));
    }
    const char* reason = ERR_reason_error_string(code);
    return reason != nullptr ? reason : "OpenSSL error " + std::to_string(code);
}

Result<std::shared_ptr<const TlsServerContext>> TlsServerContext::load(
    const config::ListenerTls& settings) {
    auto context = make_context(TLS_server_method());
    if (!context) {
        return std::unexpected(context.error());
    }
    SSL_CTX* ctx = context->get();
    // No tickets and no cache: every connection makes its own keys, and no ticket key needs
    // rotation.
    SSL_CTX_set_num_tickets(ctx, 0);
    SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, nullptr);
    if (auto used = use_certificate(ctx, settings.certificate, settings.key); !used) {
        return std::unexpected(used.error());
    }
    if (auto asked = ask_client_certificates(ctx, settings); !asked) {
        return std::unexpected(asked.error());
    }
    // Not make_shared: the constructor is private.
    return std::shared_ptr<const TlsServerContext>(new TlsServerContext(std::move(*context)));
}

Result<std::shared_ptr<const TlsClientContext>> TlsClientContext::load(
    const config::UpstreamTls& settings) {
    auto context = make_context(TLS_client_method());
    if (!context) {
        return std::unexpected(context.error());
    }
    SSL_CTX* ctx = context->get();
    SSL_CTX_set_verify(ctx, settings.verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
    // Unlike every other call, this one returns 0 for success.
    if (SSL_CTX_set_alpn_protos(ctx, kAlpnHttp11.data(), kAlpnHttp11.size()) != 0) {
        return failure(Errc::internal, Origin::internal, "OpenSSL refused the ALPN list.");
    }
    if (!settings.ca.empty()) {
        if (auto readable = check_readable("CA", settings.ca); !readable) {
            return std::unexpected(readable.error());
        }
        if (SSL_CTX_load_verify_file(ctx, settings.ca.c_str()) != 1) {
            return bad_file("CA", settings.ca);
        }
    } else if (settings.verify && SSL_CTX_set_default_verify_paths(ctx) != 1) {
        return failure(
            Errc::internal, Origin::internal,
            "The system's certificate store cannot be read: " + take_openssl_error() + ".");
    }
    if (!settings.certificate.empty()) {
        if (auto used = use_certificate(ctx, settings.certificate, settings.key); !used) {
            return std::unexpected(used.error());
        }
    }
    return std::shared_ptr<const TlsClientContext>(
        new TlsClientContext(std::move(*context), settings.server_name));
}

bool TlsClientContext::apply(SSL* ssl, const std::string& endpoint_host) const {
    const std::string& name = server_name(endpoint_host);
    bool good = false;
    if (is_ip_literal(name)) {
        good = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name.c_str()) == 1;
    } else {
        SSL_set_hostflags(
            ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
        good = !name.empty() && SSL_set1_host(ssl, name.c_str()) == 1 &&
               SSL_set_tlsext_host_name(ssl, name.c_str()) == 1;
    }
    ERR_clear_error();
    return good;
}

}  // namespace millrace::gateway
