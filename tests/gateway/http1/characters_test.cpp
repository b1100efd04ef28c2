#include "gateway/http1/characters.hpp"

#include <gtest/gtest.h>

#include <string>

#include "config/base/random.hpp"

namespace millrace::http1 {
namespace {

std::size_t first_control(std::string_view text) {
    std::size_t i = 0;
    while (i < text.size() && !is_control(text[i])) {
        ++i;
    }
    return i;
}

std::size_t first_non_token(std::string_view text) {
    std::size_t i = 0;
    while (i < text.size() && is_token_char(text[i])) {
        ++i;
    }
    return i;
}

TEST(Characters, FindsEveryControlByteAtEveryPosition) {
    for (std::size_t size = 0; size < 50; ++size) {
        for (std::size_t at = 0; at < size; ++at) {
            for (int byte = 0; byte < 256; ++byte) {
                std::string text(size, 'a');
                text[at] = static_cast<char>(byte);
                const char* const found = find_control(text.data(), text.data() + size);
                ASSERT_EQ(static_cast<std::size_t>(found - text.data()), first_control(text))
                    << "byte " << byte << " at " << at << " of " << size;
            }
        }
    }
}

TEST(Characters, SkipsTokensAsTheTableDoes) {
    Random random(7);
    constexpr std::string_view kAlphabet = "abzAZ019-_!~:@[`{/ \x80\xff";
    for (int round = 0; round < 20'000; ++round) {
        std::string text(random.below(60), 'x');
        for (char& c : text) {
            if (random.below(12) == 0) {
                c = kAlphabet[random.below(static_cast<std::uint32_t>(kAlphabet.size()))];
            }
        }
        const std::size_t line =
            text.empty() ? 0 : random.below(static_cast<std::uint32_t>(text.size()));
        const char* const begin = text.data();
        const auto [found, plain] = skip_token(begin, begin + line, begin + text.size());
        const auto size = static_cast<std::size_t>(found - begin);
        const auto token = std::string_view(text).substr(0, size);
        ASSERT_EQ(size, first_non_token(std::string_view(text).substr(0, line))) << text;
        // Near the end of what can be read the table is used, which does not tell; `plain` may only
        // err that way.
        ASSERT_FALSE(plain && token.find_first_of("_!~`") != token.npos) << text;
    }
}

TEST(Characters, KnowsTheTokenCharactersOfRfc9110) {
    int count = 0;
    for (int byte = 0; byte < 256; ++byte) {
        count += is_token_char(static_cast<char>(byte)) ? 1 : 0;
    }
    EXPECT_EQ(count, 15 + 10 + 52);
    for (const char c : std::string_view{"\"(),/:;<=>?@[\\]{} \t"}) {
        EXPECT_FALSE(is_token_char(c)) << c;
    }
}

TEST(Characters, TrimsSpacesAndTabsOnly) {
    EXPECT_EQ(trim(" \t a b\t "), "a b");
    EXPECT_EQ(trim("\t "), "");
    EXPECT_EQ(trim("\x0b"), "\x0b");
}

}  // namespace
}  // namespace millrace::http1
