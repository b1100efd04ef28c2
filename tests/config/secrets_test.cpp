#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/config/fake_sources.hpp"

namespace millrace::config {
namespace {

using test::Case;
using test::dump;
using test::errors_of;
using test::FakeSources;
using test::load_text;

class SecretError : public testing::TestWithParam<Case> {};

TEST_P(SecretError, HasItsExactPlace) {
    FakeSources fake;
    fake.files["/etc/millrace/empty"] = "\n";
    expect_one_error(GetParam(), GetParam().text, fake);
}

INSTANTIATE_TEST_SUITE_P(
    All, SecretError,
    testing::Values(Case{"listeners: {admin: {token: @@hunter2}}\n", "listeners.admin.token",
                         "A secret is never written in the document itself"},
                    Case{"listeners: {admin: {token: @@{file: a, env: B}}}\n",
                         "listeners.admin.token", "exactly one key"},
                    Case{"listeners: {admin: {token: {@@fil: a}}}\n", "listeners.admin.token.fil",
                         "Unknown key `fil`", "did you mean `file`?"},
                    Case{"listeners: {admin: {token: {file: @@absent}}}\n",
                         "listeners.admin.token.file",
                         "The file `/etc/millrace/absent` cannot be read."},
                    Case{"listeners: {admin: {token: {env: @@ABSENT}}}\n",
                         "listeners.admin.token.env", "`ABSENT` is not set"},
                    Case{"listeners: {admin: {token: {file: @@empty}}}\n",
                         "listeners.admin.token.file", "`/etc/millrace/empty` is empty."},
                    Case{"listeners: {admin: {token: {env: @@[A]}}}\n", "listeners.admin.token.env",
                         "Expected the name of an environment variable."}));

TEST(Secrets, ComeFromFilesWithoutTheirLineEndAndFromTheEnvironment) {
    FakeSources fake;
    fake.files["/etc/millrace/t"] = " a b \r\n\n";
    const auto from_file = load_text("listeners: {admin: {token: {file: t}}}\n", fake).loaded;
    ASSERT_TRUE(from_file);
    EXPECT_EQ(from_file->config.listeners.admin.token->reveal(), " a b ");
    fake.environment["T"] = "c";
    const auto from_environment = load_text("listeners: {admin: {token: {env: T}}}\n", fake).loaded;
    ASSERT_TRUE(from_environment);
    EXPECT_EQ(from_environment->config.listeners.admin.token->reveal(), "c");
}

TEST(Secrets, AreNeverPrinted) {
    FakeSources fake;
    fake.environment["TOKEN"] = "tell-nobody";
    const auto result = load_text(
        "listeners: {admin: {token: {env: TOKEN}, address: 'x:1'}}\n"
        "authentication: {keys: {file: k, pepper: tell-nobody}}\n",
        fake);
    EXPECT_THAT(dump(result.problems), testing::Not(testing::HasSubstr("tell-nobody")));
    EXPECT_EQ(errors_of(result.problems).size(), 3U);
}

}  // namespace
}  // namespace millrace::config
