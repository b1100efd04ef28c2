#include "gateway/openai/body_keys.hpp"

#include <gtest/gtest.h>

#include <string>

namespace millrace::openai {
namespace {

/// Every character as an escape of six bytes.
std::string escaped(std::string_view text) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        out += "\\u00";
        out += kDigits[byte / 16];
        out += kDigits[byte % 16];
    }
    return out;
}

TEST(BodyKeys, FindsEveryKeyPlainAndEscaped) {
    for (std::uint8_t key = 0; key < kKeyCount; ++key) {
        EXPECT_EQ(find_body_key(name_of(key)), key) << name_of(key);
        EXPECT_EQ(find_body_key(escaped(name_of(key))), key) << name_of(key);
    }
}

TEST(BodyKeys, TakesNothingElse) {
    for (const auto* text : {"", "m", "Model", "modem", "models", "stream_option", "max_tokenz",
                             "mode\\u006c ", "mode\\u006", "max_completion_tokens2"}) {
        EXPECT_EQ(find_body_key(text), kKeyCount) << text;
    }
    EXPECT_EQ(find_body_key(escaped("max_completion_tokens") + "x"), kKeyCount);
}

}  // namespace
}  // namespace millrace::openai
