#include "gateway/commands/keys.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <sstream>

#include "gateway/commands/exit_code.hpp"
#include "gateway/identity/key_table.hpp"
#include "gateway/identity/token.hpp"
#include "tests/support/temp_dir.hpp"

namespace millrace::gateway {
namespace {

using testing::HasSubstr;

class Keys : public testing::Test {
protected:
    std::string after(std::string_view label) const {
        const auto text = out.str();
        const auto begin = text.find(label) + label.size();
        return text.substr(begin, text.find('\n', begin) - begin);
    }
    bool accepts(const std::string& line, std::string_view token) const {
        auto file = parse_key_file(line);
        EXPECT_TRUE(file.problems.empty()) << describe("line", file.problems);
        return KeyTable::build(std::move(file), Secret("pepper"), nullptr)->find(token) != nullptr;
    }

    test::TempDir directory;
    PepperSource pepper{directory.write("pepper", "pepper\n"), ""};
    std::ostringstream out;
    std::ostringstream err;
};

TEST_F(Keys, NewPrintsAKeyAndTheLineThatAcceptsIt) {
    EXPECT_EQ(run_keys_new({"acme", pepper, ""}, out, err), kExitClean);
    const auto token = after("key:  ");
    EXPECT_EQ(token_form(token), TokenForm::ours);
    EXPECT_TRUE(accepts(after("line: "), token));
    EXPECT_FALSE(err.str().contains(token));
}

TEST_F(Keys, NewWritesTheExpiryIntoTheLine) {
    EXPECT_EQ(run_keys_new({"acme", pepper, "2027-01-31T00:00:00Z"}, out, err), kExitClean);
    EXPECT_TRUE(after("line: ").ends_with(" expires=2027-01-31T00:00:00Z"));
    EXPECT_EQ(run_keys_new({"acme", pepper, "tomorrow"}, out, err), kExitConfiguration);
    EXPECT_THAT(err.str(), HasSubstr("tomorrow is not an RFC 3339 time"));
}

TEST_F(Keys, NewRefusesABadTenantAndAMissingPepper) {
    EXPECT_EQ(run_keys_new({"two words", pepper, ""}, out, err), kExitConfiguration);
    EXPECT_EQ(run_keys_new({"acme", {"/nowhere/pepper", ""}, ""}, out, err), kExitConfiguration);
    EXPECT_EQ(run_keys_new({"acme", {"", "MILLRACE_TEST_UNSET"}, ""}, out, err),
              kExitConfiguration);
    EXPECT_THAT(err.str(), HasSubstr("/nowhere/pepper"));
    EXPECT_THAT(err.str(), HasSubstr("MILLRACE_TEST_UNSET"));
    EXPECT_EQ(out.str(), "");
}

TEST_F(Keys, PepperComesFromTheEnvironmentToo) {
    ::setenv("MILLRACE_TEST_PEPPER", "pepper", 1);
    EXPECT_EQ(read_pepper({"", "MILLRACE_TEST_PEPPER"}).value(), Secret("pepper"));
    ::unsetenv("MILLRACE_TEST_PEPPER");
}

TEST_F(Keys, DigestImportsAKeyOfAnotherForm) {
    std::istringstream in("sk-imported\r\n");
    EXPECT_EQ(run_keys_digest({"old-key", "acme", pepper}, in, out, err), kExitClean);
    EXPECT_TRUE(out.str().starts_with("old-key acme "));
    EXPECT_TRUE(accepts(out.str(), "sk-imported"));
    EXPECT_FALSE(out.str().contains("sk-imported"));
}

TEST_F(Keys, DigestTakesTheIdFromOurOwnForm) {
    const auto key = new_key("acme", Secret("pepper"));
    std::istringstream in(std::string(key->token.reveal()));
    EXPECT_EQ(run_keys_digest({"", "acme", pepper}, in, out, err), kExitClean);
    EXPECT_EQ(out.str(), key->line + "\n");
}

TEST_F(Keys, DigestRefusesTyposNamelessKeysAndNothing) {
    std::istringstream typo("mr_abc");
    EXPECT_EQ(run_keys_digest({"", "acme", pepper}, typo, out, err), kExitConfiguration);
    EXPECT_THAT(err.str(), HasSubstr("checksum is wrong"));
    std::istringstream nameless("sk-x");
    EXPECT_EQ(run_keys_digest({"", "acme", pepper}, nameless, out, err), kExitConfiguration);
    EXPECT_THAT(err.str(), HasSubstr("--id"));
    std::istringstream nothing("\n");
    EXPECT_EQ(run_keys_digest({"k", "acme", pepper}, nothing, out, err), kExitConfiguration);
    EXPECT_THAT(err.str(), HasSubstr("No key was read"));
    std::istringstream good("sk-x");
    EXPECT_EQ(run_keys_digest({"a b", "acme", pepper}, good, out, err), kExitConfiguration);
    EXPECT_EQ(out.str(), "");
}

}  // namespace
}  // namespace millrace::gateway
