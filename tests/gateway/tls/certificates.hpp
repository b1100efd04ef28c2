// Certificates made for one test: an authority of its own, and leaves with any names, written to a
// directory of its own.
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

namespace millrace::gateway::testing_support {

struct Leaf {
    std::string certificate;  ///< file names
    std::string key;
};

struct LeafOptions {
    std::string common_name = "leaf";
    std::string san{};  ///< OpenSSL's syntax: `DNS:a,URI:spiffe://b,IP:127.0.0.1`; empty = none
    std::string extended_usage = "serverAuth,clientAuth";
    int rsa_bits = 0;  ///< 0 = EC P-256
    int valid_seconds = 3600;
};

class CertificateAuthority {
public:
    explicit CertificateAuthority(const std::string& name = "Millrace test CA");
    CertificateAuthority(const CertificateAuthority&) = delete;
    CertificateAuthority& operator=(const CertificateAuthority&) = delete;
    ~CertificateAuthority();

    const std::string& file() const { return file_; }
    const std::string& directory() const { return directory_; }
    Leaf issue(const LeafOptions& options = {});

private:
    struct KeyFree {
        void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
    };
    struct CertificateFree {
        void operator()(X509* certificate) const { X509_free(certificate); }
    };

    std::string directory_;
    std::string file_;
    int serial_ = 1;
    std::unique_ptr<EVP_PKEY, KeyFree> key_;
    std::unique_ptr<X509, CertificateFree> certificate_;
};

}  // namespace millrace::gateway::testing_support
