#include "tests/gateway/tls/certificates.hpp"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <stdexcept>

namespace millrace::gateway::testing_support {
namespace {

void need(bool good, const char* what) {
    if (!good) {
        throw std::runtime_error(what);
    }
}

std::string make_directory() {
    auto pattern = (std::filesystem::temp_directory_path() / "millrace-tls-XXXXXX").string();
    need(::mkdtemp(pattern.data()) != nullptr, "mkdtemp");
    return pattern;
}

EVP_PKEY* make_key(int rsa_bits) {
    EVP_PKEY* key =
        rsa_bits > 0 ? EVP_RSA_gen(static_cast<unsigned>(rsa_bits)) : EVP_EC_gen("P-256");
    need(key != nullptr, "key generation");
    return key;
}

X509* make_certificate(EVP_PKEY* key, const std::string& name, int serial, int valid_seconds) {
    X509* certificate = X509_new();
    need(X509_set_version(certificate, 2) == 1, "version");
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -7200);
    X509_gmtime_adj(X509_getm_notAfter(certificate), valid_seconds);
    X509_set_pubkey(certificate, key);
    need(X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1,
                                    0) == 1,
         "name");
    return certificate;
}

void extend(X509* certificate, X509* issuer, int nid, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
    need(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1, value.c_str());
    X509_EXTENSION_free(extension);
}

template <class Write>
void write_file(const std::string& path, Write write) {
    std::FILE* file = std::fopen(path.c_str(), "w");
    need(file != nullptr && write(file) == 1 && std::fclose(file) == 0, path.c_str());
}

}  // namespace

CertificateAuthority::CertificateAuthority(const std::string& name)
    : directory_(make_directory()), file_(directory_ + "/ca.pem"), key_(make_key(0)) {
    certificate_.reset(make_certificate(key_.get(), name, serial_++, 3600));
    X509* ca = certificate_.get();
    X509_set_issuer_name(ca, X509_get_subject_name(ca));
    extend(ca, ca, NID_basic_constraints, "critical,CA:TRUE");
    extend(ca, ca, NID_key_usage, "critical,keyCertSign,cRLSign");
    need(X509_sign(ca, key_.get(), EVP_sha256()) > 0, "sign");
    write_file(file_, [&](std::FILE* file) { return PEM_write_X509(file, ca); });
}

CertificateAuthority::~CertificateAuthority() {
    std::filesystem::remove_all(directory_);
}

Leaf CertificateAuthority::issue(const LeafOptions& options) {
    const std::unique_ptr<EVP_PKEY, KeyFree> key(make_key(options.rsa_bits));
    const int serial = serial_++;
    const std::unique_ptr<X509, CertificateFree> leaf(
        make_certificate(key.get(), options.common_name, serial, options.valid_seconds));
    X509* ca = certificate_.get();
    X509_set_issuer_name(leaf.get(), X509_get_subject_name(ca));
    extend(leaf.get(), ca, NID_basic_constraints, "critical,CA:FALSE");
    if (!options.san.empty()) {
        extend(leaf.get(), ca, NID_subject_alt_name, options.san);
    }
    if (!options.extended_usage.empty()) {
        extend(leaf.get(), ca, NID_ext_key_usage, options.extended_usage);
    }
    need(X509_sign(leaf.get(), key_.get(), EVP_sha256()) > 0, "sign");
    const auto stem = directory_ + "/leaf" + std::to_string(serial);
    Leaf files{stem + ".pem", stem + ".key"};
    write_file(files.certificate,
               [&](std::FILE* file) { return PEM_write_X509(file, leaf.get()); });
    write_file(files.key, [&](std::FILE* file) {
        return PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    });
    return files;
}

}  // namespace millrace::gateway::testing_support
