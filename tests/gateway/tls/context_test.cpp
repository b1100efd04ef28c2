#include "gateway/tls/context.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <fstream>
#include <set>

#include "tests/gateway/tls/certificates.hpp"
#include "tests/gateway/tls/pair.hpp"

namespace millrace::gateway {
namespace {

using testing::HasSubstr;
using testing_support::CertificateAuthority;
using testing_support::listener_tls;
using testing_support::load_client;
using testing_support::load_server;
using testing_support::TlsPair;
using testing_support::upstream_tls;

class TlsContextTest : public testing::Test {
protected:
    CertificateAuthority authority;
    testing_support::Leaf leaf = authority.issue({.san = "DNS:gateway.test"});
    config::ListenerTls settings = listener_tls(leaf);

    std::string error() {
        const auto context = TlsServerContext::load(settings);
        EXPECT_FALSE(context);
        return context ? "" : context.error().detail;
    }
    std::string write(const std::string& name, const std::string& contents) {
        const auto path = authority.directory() + "/" + name;
        std::ofstream(path) << contents;
        return path;
    }
};

std::set<std::string> suites_of(SSL_CTX* context) {
    std::set<std::string> names;
    auto* ciphers = SSL_CTX_get_ciphers(context);
    for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); ++i) {
        names.insert(SSL_CIPHER_get_name(sk_SSL_CIPHER_value(ciphers, i)));
    }
    return names;
}

TEST_F(TlsContextTest, OffersExactlyMozillasIntermediateSuites) {
    const auto context = load_server(settings);
    ASSERT_TRUE(context);
    const std::set<std::string> expected{
        "TLS_AES_128_GCM_SHA256",       "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",  "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",  "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-RSA-CHACHA20-POLY1305"};
    EXPECT_EQ(suites_of(context->native()), expected);
    EXPECT_EQ(SSL_CTX_get_min_proto_version(context->native()), TLS1_2_VERSION);
    EXPECT_EQ(SSL_CTX_get_max_proto_version(context->native()), 0);  // the newest there is
    const auto options = SSL_CTX_get_options(context->native());
    EXPECT_TRUE(options & SSL_OP_NO_COMPRESSION);
    EXPECT_TRUE(options & SSL_OP_NO_RENEGOTIATION);
    EXPECT_TRUE(options & SSL_OP_NO_TICKET);
    EXPECT_FALSE(options & SSL_OP_CIPHER_SERVER_PREFERENCE);
    EXPECT_EQ(SSL_CTX_get_num_tickets(context->native()), 0U);
    EXPECT_EQ(SSL_CTX_get_max_early_data(context->native()), 0U);
    EXPECT_EQ(SSL_CTX_get_session_cache_mode(context->native()), SSL_SESS_CACHE_OFF);
}

TEST_F(TlsContextTest, NamesTheFileAndTheReasonOfEveryFailure) {
    settings.certificate = authority.directory() + "/missing.pem";
    EXPECT_THAT(error(), HasSubstr("missing.pem cannot be read: No such file or directory"));

    settings.certificate = write("garbage.pem", "this is no certificate\n");
    EXPECT_THAT(error(), testing::AllOf(HasSubstr("certificate in "), HasSubstr("garbage.pem"),
                                        HasSubstr("no start line")));

    settings.certificate = leaf.certificate;
    settings.key = authority.issue().key;
    EXPECT_THAT(error(), testing::AllOf(HasSubstr(settings.key), HasSubstr("mismatch")));

    settings.key = leaf.key;
    settings.client_certificates = config::ClientCertificates::required;
    settings.client_ca = write("empty.pem", "");
    EXPECT_THAT(error(), testing::AllOf(HasSubstr("client CA in "), HasSubstr("empty.pem")));
}

TEST_F(TlsContextTest, RefusesAnEncryptedKeyInsteadOfAskingForItsPassphrase) {
    EVP_PKEY* key = EVP_EC_gen("P-256");
    const auto path = authority.directory() + "/encrypted.key";
    std::FILE* file = std::fopen(path.c_str(), "w");
    ASSERT_NE(file, nullptr);
    const unsigned char passphrase[] = "open sesame";
    ASSERT_EQ(PEM_write_PrivateKey(file, key, EVP_aes_128_cbc(), passphrase, 11, nullptr, nullptr),
              1);
    std::fclose(file);
    EVP_PKEY_free(key);
    settings.key = path;
    EXPECT_THAT(error(), HasSubstr("encrypted.key"));
}

TEST_F(TlsContextTest, RefusesAnRsaKeyBelow2048Bits) {
    const auto weak = authority.issue({.san = "DNS:gateway.test", .rsa_bits = 1024});
    settings = listener_tls(weak);
    EXPECT_THAT(error(), HasSubstr("too small"));
    const auto strong = authority.issue({.san = "DNS:gateway.test", .rsa_bits = 2048});
    settings = listener_tls(strong);
    EXPECT_TRUE(TlsServerContext::load(settings));
}

TEST_F(TlsContextTest, OfARunningSessionSurvivesAReload) {
    const auto client_context = load_client(upstream_tls(authority.file()));
    auto old_context = load_server(settings);
    TlsPair running(*old_context, *client_context);
    running.shake();
    ASSERT_TRUE(running.good());

    const auto renewed = authority.issue({.common_name = "renewed", .san = "DNS:gateway.test"});
    const auto new_context = load_server(listener_tls(renewed));
    old_context.reset();  // published away; only the session holds it

    std::string text = "still here";
    const iovec span{text.data(), text.size()};
    ASSERT_EQ(running.server->write({&span, 1}).want, Want::none);
    std::array<char, 64> buffer{};
    const auto step = running.client->read(buffer.data(), buffer.size());
    EXPECT_EQ(std::string_view(buffer.data(), step.bytes), text);

    TlsPair fresh(*new_context, *client_context);
    fresh.shake();
    EXPECT_TRUE(fresh.good()) << fresh.client->failure();
}

TEST_F(TlsContextTest, OfAClientReportsAMissingAuthorityAndCertificate) {
    const auto context = TlsClientContext::load(upstream_tls("/nowhere/ca.pem"));
    ASSERT_FALSE(context);
    EXPECT_THAT(context.error().detail, HasSubstr("CA file /nowhere/ca.pem cannot be read"));
    auto with_certificate = upstream_tls(authority.file());
    with_certificate.certificate = "/nowhere/c";
    with_certificate.key = "/k";
    const auto other = TlsClientContext::load(with_certificate);
    ASSERT_FALSE(other);
    EXPECT_THAT(other.error().detail, HasSubstr("/nowhere/c"));
    EXPECT_TRUE(TlsClientContext::load({}));  // the system's store
}

}  // namespace
}  // namespace millrace::gateway
