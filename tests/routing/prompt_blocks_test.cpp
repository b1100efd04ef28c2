#include "routing/prompt_blocks.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "config/base/random.hpp"

namespace millrace::routing {
namespace {

using Hashes = std::vector<std::uint64_t>;

constexpr PromptHashing kHashing{.block_bytes = 64, .max_blocks = 100, .secret = 7};

std::string text_of(std::size_t size, std::uint64_t seed = 1) {
    Random random(seed);
    std::string text(size, ' ');
    std::ranges::generate(text, [&] { return static_cast<char>('a' + random.below(26)); });
    return text;
}

Hashes hashes_of(std::string_view text, std::string_view key = "model",
                 const PromptHashing& how = kHashing) {
    PromptBlocks blocks(how);
    blocks.start(key);
    blocks.feed(text);
    return {blocks.hashes().begin(), blocks.hashes().end()};
}

std::size_t common(const Hashes& a, const Hashes& b) {
    return static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

TEST(PromptBlocks, CountsOnlyCompleteBlocks) {
    EXPECT_EQ(hashes_of("").size(), 0U);
    EXPECT_EQ(hashes_of(text_of(63)).size(), 0U);
    EXPECT_EQ(hashes_of(text_of(64)).size(), 1U);
    EXPECT_EQ(hashes_of(text_of(1000)).size(), 15U);
}

TEST(PromptBlocks, DoesNotDependOnHowTheBytesArrive) {
    const auto text = text_of(5000);
    const auto whole = hashes_of(text);
    Random random(3);
    for (int round = 0; round < 200; ++round) {
        PromptBlocks blocks(kHashing);
        blocks.start("model");
        for (std::size_t at = 0; at < text.size();) {
            const auto size =
                std::min<std::size_t>(random.below(round % 2 == 0 ? 40 : 700), text.size() - at);
            blocks.feed(std::string_view(text).substr(at, size));
            at += size;
        }
        EXPECT_TRUE(std::ranges::equal(blocks.hashes(), whole)) << round;
    }
}

TEST(PromptBlocks, SharesExactlyTheBlocksBeforeTheFirstDifference) {
    const auto text = text_of(64 * 40);
    const auto original = hashes_of(text);
    for (std::size_t at = 0; at < text.size(); at += 13) {
        auto changed = text;
        changed[at] ^= 1;
        EXPECT_EQ(common(original, hashes_of(changed)), at / 64) << at;
    }
    EXPECT_EQ(common(original, hashes_of(text + text_of(640))), 40U);
}

TEST(PromptBlocks, StandsForEverythingBeforeTheBlockToo) {
    const auto tail = text_of(64 * 20);
    const auto one = hashes_of(text_of(64, 2) + tail);
    const auto two = hashes_of(text_of(64, 3) + tail);
    std::set<std::uint64_t> all(one.begin(), one.end());
    all.insert(two.begin(), two.end());
    EXPECT_EQ(all.size(), one.size() + two.size());
}

TEST(PromptBlocks, TellsRepeatedBlocksAndSwappedWordsApart) {
    const auto repeated = hashes_of(std::string(64 * 50, 'x'));
    EXPECT_EQ(std::set(repeated.begin(), repeated.end()).size(), 50U);
    const std::string a(16, 'a');
    const std::string b(16, 'b');
    EXPECT_NE(hashes_of(a + b + a + a), hashes_of(b + a + a + a));
    EXPECT_NE(hashes_of(a + a + b + a), hashes_of(a + a + a + b));
}

TEST(PromptBlocks, NeverSharesBetweenModelsOrSecrets) {
    const auto text = text_of(64 * 100);
    const auto mine = hashes_of(text, "llama");
    const auto other = hashes_of(text, "llama-lora");
    auto how = kHashing;
    how.secret = 8;
    const auto elsewhere = hashes_of(text, "llama", how);
    std::set<std::uint64_t> all(mine.begin(), mine.end());
    all.insert(other.begin(), other.end());
    all.insert(elsewhere.begin(), elsewhere.end());
    EXPECT_EQ(all.size(), 300U);
}

TEST(PromptBlocks, StopsAtTheBound) {
    const auto text = text_of(64 * 150);
    const auto bounded = hashes_of(text);
    EXPECT_EQ(bounded.size(), 100U);
    auto how = kHashing;
    how.max_blocks = 150;
    EXPECT_EQ(common(bounded, hashes_of(text, "model", how)), 100U);
    PromptBlocks pieces(kHashing);
    for (std::size_t at = 0; at < text.size(); at += 100) {
        pieces.feed(std::string_view(text).substr(at, 100));
    }
    EXPECT_EQ(pieces.hashes().size(), 100U);
    how.max_blocks = 0;
    EXPECT_TRUE(hashes_of(text, "model", how).empty());
}

TEST(PromptBlocks, CanBeUsedAgain) {
    PromptBlocks blocks(kHashing);
    blocks.start("other");
    blocks.feed(text_of(777));
    blocks.start("model");
    blocks.feed(text_of(640));
    EXPECT_TRUE(std::ranges::equal(blocks.hashes(), hashes_of(text_of(640))));
}

TEST(PromptBlocks, RoundsTheBlockSizeUp) {
    EXPECT_EQ(PromptBlocks({.block_bytes = 0}).block_bytes(), 32U);
    EXPECT_EQ(PromptBlocks({.block_bytes = 33}).block_bytes(), 64U);
    EXPECT_EQ(PromptBlocks({}).block_bytes(), 256U);
}

TEST(PromptBlocks, SpreadsOverAllBits) {
    std::vector<int> ones(64);
    for (int i = 0; i < 4000; ++i) {
        auto text = std::string(64, '0');
        text.replace(0, 4, std::to_string(1000 + i));
        const auto hash = hashes_of(text).front();
        for (std::size_t bit = 0; bit < ones.size(); ++bit) {
            ones[bit] += static_cast<int>(hash >> bit & 1U);
        }
    }
    for (const auto count : ones) {
        EXPECT_NEAR(count, 2000, 200);  // 6 sigma
    }
}

}  // namespace
}  // namespace millrace::routing
