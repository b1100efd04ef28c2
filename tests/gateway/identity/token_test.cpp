#include "gateway/identity/token.hpp"

#include <gtest/gtest.h>

#include <set>

#include "gateway/identity/digest.hpp"

namespace millrace::gateway {
namespace {

const Secret kPepper("pepper");

NewKey make(std::string_view tenant = "acme") {
    auto key = new_key(tenant, kPepper);
    EXPECT_TRUE(key);
    return std::move(*key);
}

TEST(Token, HasTheCrcOfThePublishedTestVector) {
    EXPECT_EQ(crc32("123456789"), 0xCBF43926U);
}

TEST(Token, IsOfTheDocumentedForm) {
    const auto key = make();
    const auto token = key.token.reveal();
    EXPECT_EQ(token.size(), 65U);
    EXPECT_EQ(token.size(), kTokenLength);
    EXPECT_TRUE(token.starts_with("mr_" + key.id + "_"));
    EXPECT_EQ(token_form(token), TokenForm::ours);
    EXPECT_EQ(token_id(token), key.id);
}

TEST(Token, DetectsEverySingleCharacterTypo) {
    const std::string token(make().token.reveal());
    for (std::size_t i = kTokenPrefix.size(); i < token.size(); ++i) {
        auto typo = token;
        typo[i] = typo[i] == 'a' ? 'b' : 'a';
        EXPECT_EQ(token_form(typo), TokenForm::mistyped) << i;
        EXPECT_TRUE(token_id(typo).empty());
    }
    EXPECT_EQ(token_form(token.substr(1)), TokenForm::foreign);
    EXPECT_EQ(token_form(token.substr(0, token.size() - 1)), TokenForm::mistyped);
    EXPECT_EQ(token_form(token + "a"), TokenForm::mistyped);
    EXPECT_EQ(token_form("sk-proj-123"), TokenForm::foreign);
    EXPECT_EQ(token_form(""), TokenForm::foreign);
}

TEST(Token, IsNeverDrawnTwice) {
    std::set<std::string> tokens;
    std::set<std::string> ids;
    for (int i = 0; i < 500; ++i) {
        const auto key = make();
        tokens.emplace(key.token.reveal());
        ids.insert(key.id);
    }
    EXPECT_EQ(tokens.size(), 500U);
    EXPECT_EQ(ids.size(), 500U);
}

TEST(Token, ComesWithTheLineOfTheKeyFileWhichDoesNotContainIt) {
    const auto key = make("team/a");
    const auto digest = to_hex(TokenDigester(kPepper).digest(key.token.reveal()));
    EXPECT_EQ(key.line, key.id + " team/a " + digest);
    EXPECT_FALSE(key.line.contains(key.token.reveal().substr(16, 20)));
}

TEST(Token, IsNotMadeForATenantNameThatTheKeyFileRefuses) {
    for (const char* tenant : {"", "two words", "-dash", "new\nline", "#comment"}) {
        const auto key = new_key(tenant, kPepper);
        ASSERT_FALSE(key) << tenant;
        EXPECT_TRUE(key.error().detail.contains("64 characters"));
    }
}

}  // namespace
}  // namespace millrace::gateway
