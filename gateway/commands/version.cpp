#include "gateway/commands/version.hpp"

#include <openssl/crypto.h>
#include <spdlog/version.h>

#include <CLI/Version.hpp>
#include <boost/version.hpp>
#include <nlohmann/detail/macro_scope.hpp>
#include <ostream>

#include "gateway/commands/exit_code.hpp"

namespace millrace::gateway {

int run_version(std::ostream& out) {
    out << "millrace " << MILLRACE_VERSION << '\n'
        << "compiler: " << __VERSION__ << '\n'
        << "boost: " << BOOST_VERSION / 100'000 << '.' << BOOST_VERSION / 100 % 1000 << '.'
        << BOOST_VERSION % 100
        << '\n'
        // Of the library that is loaded, which may be newer than the headers.
        << "openssl: " << OpenSSL_version(OPENSSL_VERSION) << '\n'
        << "nlohmann-json: " << NLOHMANN_JSON_VERSION_MAJOR << '.' << NLOHMANN_JSON_VERSION_MINOR
        << '.' << NLOHMANN_JSON_VERSION_PATCH << '\n'
        << "spdlog: " << SPDLOG_VER_MAJOR << '.' << SPDLOG_VER_MINOR << '.' << SPDLOG_VER_PATCH
        << '\n'
        << "cli11: " << CLI11_VERSION << '\n';
    return kExitClean;
}

}  // namespace millrace::gateway
