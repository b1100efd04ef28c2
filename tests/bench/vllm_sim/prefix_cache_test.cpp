#include "bench/vllm_sim/prefix_cache.hpp"

#include <gtest/gtest.h>

#include <string>

namespace millrace::vllm_sim {
namespace {

std::string blocks_of(std::string_view letters) {
    std::string text;
    for (const char letter : letters) {
        text.append(kBytesPerBlock, letter);
    }
    return text;
}

std::uint32_t ask(PrefixCache& cache, std::string_view letters, std::string_view tail = "tail") {
    const std::string prompt = blocks_of(letters) + std::string(tail);
    return cache.lookup_and_insert(block_hashes(prompt), prompt_tokens_of(prompt));
}

TEST(PrefixCache, CountsTheLongestCachedPrefixInTokens) {
    PrefixCache cache(100);
    EXPECT_EQ(ask(cache, "abc"), 0U);
    EXPECT_EQ(ask(cache, "abc"), 3 * kTokensPerBlock);
    EXPECT_EQ(ask(cache, "abx"), 2 * kTokensPerBlock);
    EXPECT_EQ(ask(cache, "xbc"), 0U)
        << "equal blocks behind a different prefix are different blocks";
}

TEST(PrefixCache, AlwaysLeavesTheLastTokenToCompute) {
    PrefixCache cache(100);
    ask(cache, "ab", "");
    EXPECT_EQ(ask(cache, "ab", ""), kTokensPerBlock);
}

TEST(PrefixCache, EvictsTheLeastRecentlyUsedBlock) {
    PrefixCache cache(3);
    ask(cache, "a");
    ask(cache, "b");
    ask(cache, "c");
    ask(cache, "a");  // fresh again, so b is the oldest
    ask(cache, "d");
    EXPECT_EQ(cache.size(), 3U);
    EXPECT_EQ(ask(cache, "a"), kTokensPerBlock);
    EXPECT_EQ(ask(cache, "b"), 0U);
}

TEST(PrefixCache, EvictsTheTailOfAPromptBeforeItsHead) {
    PrefixCache cache(3);
    ask(cache, "abcde");
    EXPECT_EQ(ask(cache, "abcde"), 3 * kTokensPerBlock) << "the head stays when not all of it fits";
    ask(cache, "x");
    EXPECT_EQ(ask(cache, "abcde"), 2 * kTokensPerBlock);
}

TEST(PrefixCache, WithoutCapacityNeverHits) {
    PrefixCache cache(0);
    ask(cache, "ab");
    EXPECT_EQ(ask(cache, "ab"), 0U);
}

TEST(PrefixCache, CountsOneTokenPerStartedFourBytes) {
    EXPECT_EQ(prompt_tokens_of(""), 1U);
    EXPECT_EQ(prompt_tokens_of("abcd"), 1U);
    EXPECT_EQ(prompt_tokens_of("abcde"), 2U);
}

}  // namespace
}  // namespace millrace::vllm_sim
