#include "bench/vllm_sim/tokens.hpp"

#include <gtest/gtest.h>

namespace millrace::vllm_sim {
namespace {

TEST(Tokens, CarryTheirSerialNumberAndDependOnTheSeed) {
    EXPECT_EQ(token_at(1, 0), "duli0 ");
    EXPECT_EQ(token_at(1, 17).substr(4), "17 ");
    EXPECT_NE(token_at(1, 5), token_at(2, 5));
    EXPECT_EQ(token_at(9, 5), token_at(9, 5));
}

TEST(Tokens, RangeIsTheConcatenationOfItsTokens) {
    TokenText text(7);
    std::string expected;
    for (std::uint32_t i = 3; i < 40; ++i) {
        expected += token_at(7, i);
    }
    EXPECT_EQ(text.range(3, 37), expected);
    EXPECT_EQ(text.range(0, 0), "");
    EXPECT_EQ(text.range(0, 1), token_at(7, 0));
}

TEST(Tokens, FindsTheSmallestNumberOfTokensForALength) {
    TokenText text(7);
    for (const std::size_t bytes : {1U, 6U, 7U, 500U, 5000U}) {
        const std::uint32_t tokens = text.tokens_for_bytes(bytes);
        EXPECT_GE(text.range(0, tokens).size(), bytes);
        EXPECT_LT(text.range(0, tokens - 1).size(), bytes);
    }
    EXPECT_EQ(text.tokens_for_bytes(0), 0U);
}

TEST(Tokens, SequencesSurviveEvictionOfOthers) {
    Texts texts;
    const std::string before(texts.of(1).range(0, 5));
    for (std::uint64_t seed = 2; seed < 2 + 2 * Texts::kMaxSequences; ++seed) {
        texts.of(seed).range(0, 1);
    }
    EXPECT_EQ(texts.of(1).range(0, 5), before);
}

}  // namespace
}  // namespace millrace::vllm_sim
