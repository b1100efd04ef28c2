#include "gateway/commands/check.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "gateway/commands/exit_code.hpp"
#include "tests/gateway/tls/certificates.hpp"
#include "tests/support/temp_dir.hpp"

namespace millrace::gateway {
namespace {

using testing::HasSubstr;

constexpr std::string_view kGood =
    "models:\n"
    "  - {id: llama, variants: [{name: stable, backend: b}]}\n"
    "backends:\n"
    "  b: {endpoints: {static: [http://127.0.0.1:8001]}}\n";

class Check : public testing::Test {
protected:
    int check(const std::string& document) {
        return run_check(directory.write("millrace.yaml", document), out, err);
    }

    test::TempDir directory;
    std::ostringstream out;
    std::ostringstream err;
};

TEST_F(Check, AcceptsAGoodConfigurationAndShowsItsWarnings) {
    EXPECT_EQ(check(std::string(kGood)), kExitClean) << err.str();
    EXPECT_THAT(err.str(), HasSubstr("millrace.yaml: warning: authentication: "));
    EXPECT_THAT(out.str(),
                HasSubstr("valid, with 1 model, 1 backend, 0 HTTPRoutes and 1 warning."));
}

TEST_F(Check, PrintsEveryProblemWithItsPlace) {
    EXPECT_EQ(check("models:\n"
                    "  - {id: llama, variants: [{name: stable, backend: nowhere}]}\n"
                    "  - {id: 'bad id', variants: [{name: a, backend: b, wieght: 1}]}\n"
                    "backends:\n"
                    "  b: {endpoints: {static: [http://127.0.0.1:8001]}}\n"),
              kExitConfiguration);
    EXPECT_THAT(err.str(), HasSubstr("millrace.yaml:2:"));
    EXPECT_THAT(err.str(), HasSubstr("millrace.yaml:3:"));
    EXPECT_THAT(err.str(), HasSubstr("weight"));
    EXPECT_THAT(out.str(), HasSubstr("3 errors, 1 warning.\n"));
}

TEST_F(Check, RefusesAFileThatIsNotThere) {
    EXPECT_EQ(run_check((directory.path() / "none.yaml").string(), out, err), kExitConfiguration);
    EXPECT_THAT(err.str(), HasSubstr("none.yaml"));
}

TEST_F(Check, ReadsTheKeyTable) {
    directory.write("pepper", "p\n");
    directory.write("keys", "k1 acme 1234\n");
    const std::string document =
        std::string(kGood) + "authentication: {keys: {file: keys, pepper: {file: pepper}}}\n";
    EXPECT_EQ(check(document), kExitConfiguration);
    EXPECT_THAT(err.str(), HasSubstr("keys:1: error: The third word"));
    EXPECT_THAT(out.str(), HasSubstr("1 error, 0 warnings."));
    directory.write("keys", "k1 acme " + std::string(64, 'a') + "\n");
    EXPECT_EQ(check(document), kExitClean) << err.str();
}

TEST_F(Check, ReadsTheCertificates) {
    testing_support::CertificateAuthority authority;
    const auto leaf = authority.issue();
    const auto other = authority.issue();
    const auto document = [&](const std::string& key) {
        return std::string(kGood) + "listeners: {data: {tls: {certificate: " + leaf.certificate +
               ", key: " + key + "}}}\n";
    };
    EXPECT_EQ(check(document(leaf.key)), kExitClean) << err.str();
    EXPECT_EQ(check(document(other.key)), kExitConfiguration);
    EXPECT_THAT(err.str(), HasSubstr("listeners.data.tls: The key"));
    EXPECT_THAT(err.str(), HasSubstr("mismatch"));
}

}  // namespace
}  // namespace millrace::gateway
