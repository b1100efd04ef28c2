#include "gateway/identity/key_table.hpp"

#include <gtest/gtest.h>

#include "gateway/identity/token.hpp"

namespace millrace::gateway {
namespace {

std::shared_ptr<const KeyTable> build(const std::string& text, const Secret& pepper) {
    return KeyTable::build(parse_key_file(text), pepper, nullptr);
}

TEST(KeyTable, FindsANewKeyByItsWholeTokenOnly) {
    const Secret pepper("p");
    const auto key = new_key("acme", pepper);
    ASSERT_TRUE(key);
    const auto table = build(key->line, pepper);
    const std::string token(key->token.reveal());
    ASSERT_NE(table->find(token), nullptr);
    EXPECT_EQ(table->find(token)->record.id, key->id);
    EXPECT_EQ(table->find(token.substr(0, token.size() - 1)), nullptr);
    EXPECT_EQ(table->find(token + " "), nullptr);
    EXPECT_EQ(table->find(""), nullptr);
}

TEST(KeyTable, FindsNothingUnderAnotherPepper) {
    const auto key = new_key("acme", Secret("p"));
    ASSERT_TRUE(key);
    EXPECT_EQ(build(key->line, Secret("q"))->find(key->token.reveal()), nullptr);
}

TEST(KeyTable, TellsApartDigestsThatShareTheirHash) {
    // The hash is the digest's first eight bytes, so these two meet in one bucket.
    const Secret pepper("p");
    const auto digest = TokenDigester(pepper).digest("token");
    auto twin = digest;
    twin[31] ^= 1U;
    const auto table =
        build("twin a " + to_hex(twin) + "\nreal b " + to_hex(digest) + "\n", pepper);
    EXPECT_EQ(table->size(), 2U);
    ASSERT_NE(table->find("token"), nullptr);
    EXPECT_EQ(table->find("token")->record.id, "real");
}

}  // namespace
}  // namespace millrace::gateway
