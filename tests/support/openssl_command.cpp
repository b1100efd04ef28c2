#include "tests/support/openssl_command.hpp"

#include <stdexcept>

#include "tests/support/process.hpp"
#include "tests/support/socket.hpp"

namespace millrace::test {

namespace {

void openssl(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "openssl");
    const auto ran = run(arguments);
    if (ran.code != 0) {
        throw std::runtime_error("openssl failed: " + ran.output);
    }
}

}  // namespace

Certificate make_authority(const TempDir& directory, const std::string& name) {
    Certificate made{(directory.path() / (name + ".crt")).string(),
                     (directory.path() / (name + ".key")).string()};
    openssl({"req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
             "-days", "2", "-subj", "/CN=" + name, "-keyout", made.key, "-out", made.certificate});
    return made;
}

Certificate make_leaf(const TempDir& directory, const Certificate& authority,
                      const std::string& file, const std::string& common_name) {
    Certificate made{(directory.path() / (file + ".crt")).string(),
                     (directory.path() / (file + ".key")).string()};
    const auto request = (directory.path() / (file + ".csr")).string();
    const auto extensions =
        directory.write(file + ".ext", "subjectAltName=DNS:" + common_name +
                                           ",DNS:localhost,IP:" + loopback() + "\n");
    openssl({"req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
             "-subj", "/CN=" + common_name, "-keyout", made.key, "-out", request});
    openssl({"x509", "-req", "-in", request, "-CA", authority.certificate, "-CAkey", authority.key,
             "-CAcreateserial", "-days", "2", "-extfile", extensions, "-out", made.certificate});
    return made;
}

std::string key_file_line(const std::string& id, const std::string& tenant, const std::string& key,
                          const std::string& pepper, const std::string& more) {
    const TempDir directory;
    const auto file = directory.write("key", key);
    const auto ran = run({"openssl", "dgst", "-sha256", "-hmac", pepper, "-r", file});
    return id + ' ' + tenant + ' ' + ran.output.substr(0, 64) + (more.empty() ? "" : ' ' + more) +
           '\n';
}

}  // namespace millrace::test
