#include "routing/prefix_index.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <thread>
#include <vector>

#include "config/base/random.hpp"

namespace millrace::routing {
namespace {

using Hashes = std::vector<std::uint64_t>;
using Depths = std::vector<std::uint32_t>;

constexpr auto kBlock = PrefixIndex::kBytesPerBlock;

/// A chain that shares its first `shared` blocks with all chains.
Hashes chain(std::uint64_t id, std::size_t size, std::size_t shared = 0) {
    Random common(99);
    Random own(id);
    Hashes hashes;
    for (std::size_t i = 0; i < size; ++i) {
        hashes.push_back(i < shared ? common() : own());
    }
    return hashes;
}

Depths match(const PrefixIndex& index, const Hashes& hashes, const Hashes& generations) {
    Depths depths(generations.size(), 12345);
    index.match(hashes, generations, depths);
    return depths;
}

TEST(PrefixIndex, KnowsNothingAtFirst) {
    const PrefixIndex index(100 * kBlock);
    EXPECT_EQ(match(index, chain(1, 10), {1, 2}), (Depths{0, 0}));
    EXPECT_TRUE(match(index, chain(1, 10), {}).empty());
}

TEST(PrefixIndex, FindsTheLongestPrefixOfEachEndpoint) {
    PrefixIndex index(1000 * kBlock);
    const auto prompt = chain(1, 50);
    index.record(prompt, 7);
    index.record(std::span(prompt).first(20), 8);
    index.record(chain(1, 5), 9);
    EXPECT_EQ(match(index, prompt, {9, 7, 6, 8}), (Depths{5, 50, 0, 20}));
    EXPECT_EQ(match(index, chain(1, 10), {7, 8, 9}), (Depths{10, 10, 5}));
    EXPECT_EQ(match(index, chain(2, 50), {7, 8, 9}), (Depths{0, 0, 0}));
    EXPECT_EQ(match(index, {}, {7}), (Depths{0}));
}

TEST(PrefixIndex, AGapEndsThePrefix) {
    PrefixIndex index(1000 * kBlock);
    const auto prompt = chain(1, 40);
    index.record(std::span(prompt).first(10), 1);
    index.record(std::span(prompt).last(29), 1);
    EXPECT_EQ(match(index, prompt, {1}), (Depths{10}));
}

TEST(PrefixIndex, SharedHeadsAreRememberedForEveryEndpoint) {
    PrefixIndex index(100'000 * kBlock);
    for (std::uint64_t id = 1; id <= 64; ++id) {
        index.record(chain(id, 100, 30), id);
    }
    EXPECT_EQ(index.blocks(), 30U + 64 * 70);
    EXPECT_EQ(match(index, chain(64, 100, 30), {1, 63, 64, 65}), (Depths{30, 30, 100, 0}));
}

TEST(PrefixIndex, EvictsTheLeastRecentlyRecordedAndTailsFirst) {
    PrefixIndex index(30 * kBlock);
    index.record(chain(1, 10), 1);
    index.record(chain(2, 10), 1);
    index.record(chain(3, 10), 1);
    index.record(chain(1, 10), 2);                             // 1 is the most recent, 2 the oldest
    EXPECT_EQ(match(index, chain(2, 10), {1}), (Depths{10}));  // looking is not using
    index.record(chain(4, 4), 1);
    EXPECT_EQ(match(index, chain(2, 10), {1}), (Depths{6}));
    EXPECT_EQ(match(index, chain(3, 10), {1}), (Depths{10}));
    index.record(chain(5, 8), 1);
    EXPECT_EQ(match(index, chain(2, 10), {1}), (Depths{0}));
    EXPECT_EQ(match(index, chain(3, 10), {1}), (Depths{8}));
    EXPECT_EQ(match(index, chain(1, 10), {1, 2}), (Depths{10, 10}));
    EXPECT_EQ(index.blocks(), 30U);
}

TEST(PrefixIndex, KeepsTheHeadOfAPromptThatDoesNotFit) {
    PrefixIndex index(20 * kBlock);
    index.record(chain(1, 50), 1);
    EXPECT_EQ(match(index, chain(1, 50), {1}), (Depths{20}));
}

TEST(PrefixIndex, RemembersNothingWithoutRoom) {
    PrefixIndex index(kBlock - 1);
    index.record(chain(1, 50), 1);
    EXPECT_EQ(match(index, chain(1, 50), {1}), (Depths{0}));
    EXPECT_EQ(index.bytes(), 0U);
}

// Against the obvious implementation, over a random history.
TEST(PrefixIndex, EqualsAPlainLruList) {
    constexpr std::size_t kCapacity = 200;
    PrefixIndex index(kCapacity * kBlock);
    std::list<std::pair<std::uint64_t, std::vector<bool>>> model;  // newest first
    const auto find = [&](std::uint64_t hash) {
        return std::ranges::find(model, hash, [](const auto& entry) { return entry.first; });
    };
    Random random(11);
    for (int step = 0; step < 3000; ++step) {
        const auto prompt = chain(1 + random.below(30), 1 + random.below(40), random.below(4));
        const std::uint64_t generation = 1 + random.below(4);
        Depths expected;
        for (std::size_t g = 0; g < 4; ++g) {
            std::uint32_t depth = 0;
            for (const auto hash : prompt) {
                const auto found = find(hash);
                if (found == model.end() || !found->second[g]) {
                    break;
                }
                ++depth;
            }
            expected.push_back(depth);
        }
        ASSERT_EQ(match(index, prompt, {1, 2, 3, 4}), expected) << step;
        index.record(prompt, generation);
        for (auto at = prompt.rbegin(); at != prompt.rend(); ++at) {
            std::vector<bool> seen(4);
            if (const auto found = find(*at); found != model.end()) {
                seen = found->second;
                model.erase(found);
            }
            seen[generation - 1] = true;
            model.emplace_front(*at, std::move(seen));
            model.resize(std::min(model.size(), kCapacity));
        }
        ASSERT_EQ(index.blocks(), model.size());
    }
}

TEST(PrefixIndex, KeepsAsMuchAsAnotherLimitHolds) {
    PrefixIndex index(30 * kBlock, 1);
    index.record(chain(1, 30), 1);
    index.resize(20 * kBlock);
    EXPECT_EQ(index.blocks(), 20U);
    EXPECT_EQ(match(index, chain(1, 30), {1}), (Depths{20}));
    index.resize(50 * kBlock);
    EXPECT_EQ(match(index, chain(1, 30), {1}), (Depths{20}));
    index.record(chain(2, 40), 1);
    EXPECT_EQ(index.blocks(), 50U);
    EXPECT_EQ(match(index, chain(2, 40), {1}), (Depths{40}));
    EXPECT_EQ(match(index, chain(1, 30), {1}), (Depths{10})) << "in their order of use";
}

TEST(PrefixIndex, NeverExceedsItsBound) {
    Random random(5);
    for (const std::size_t limit : {1'000U, 64'000U, 100'001U, 3'000'000U}) {
        PrefixIndex index(limit);
        for (int i = 0; i < 600; ++i) {
            index.record(chain(random(), random.below(300)), 1 + random.below(8));
            ASSERT_LE(index.bytes(), limit);
        }
        EXPECT_GT(index.bytes(), limit * 9 / 10);
        EXPECT_EQ(index.bytes() / kBlock, index.blocks());
    }
}

TEST(PrefixIndex, ShardsLoseLittleOfTheRecentPast) {
    constexpr std::size_t kPrompts = 200;
    PrefixIndex index(kPrompts * 100 * kBlock);
    for (std::uint64_t id = 0; id < 1000; ++id) {
        index.record(chain(id, 100), 1);
    }
    std::size_t found = 0;
    for (std::uint64_t id = 1000 - kPrompts / 2; id < 1000; ++id) {
        found += match(index, chain(id, 100), {1}).front();
    }
    EXPECT_GT(found, kPrompts / 2 * 100 * 98 / 100);
}

TEST(PrefixIndex, ForgetsAnEndpointAndReusesItsNumber) {
    PrefixIndex index(200'000 * kBlock);
    for (std::uint64_t id = 0; id < 1000; ++id) {
        index.record(chain(id, 100), 1 + id % 2);
    }
    index.forget(1);
    index.forget(77);
    for (std::uint64_t id = 0; id < 1000; ++id) {
        EXPECT_EQ(match(index, chain(id, 100), {1, 2}), (Depths{0, id % 2 == 1 ? 100U : 0U}));
    }
    index.record(chain(5, 3), 3);
    for (std::uint64_t id = 0; id < 1000; id += 2) {
        EXPECT_EQ(match(index, chain(id, 100), {3}), (Depths{0}));
    }
    EXPECT_EQ(match(index, chain(5, 100), {1, 2, 3}), (Depths{0, 100, 3}));
}

TEST(PrefixIndex, KnowsABoundedNumberOfEndpoints) {
    constexpr auto kMost = PrefixIndex::kMaxEndpoints;
    PrefixIndex index(1000 * kBlock);
    const auto prompt = chain(1, 10);
    for (std::uint64_t generation = 1; generation <= kMost + 1; ++generation) {
        index.record(prompt, generation);
    }
    EXPECT_EQ(match(index, prompt, {1, kMost, kMost + 1}), (Depths{10, 10, 0}));
    index.forget(1);
    index.record(prompt, kMost + 1);
    EXPECT_EQ(match(index, prompt, {1, kMost, kMost + 1}), (Depths{0, 10, 10}));
}

TEST(PrefixIndex, MayBeUsedFromManyThreads) {
    PrefixIndex index(20'000 * kBlock);
    {
        std::vector<std::jthread> threads;
        for (std::uint64_t worker = 1; worker <= 4; ++worker) {
            threads.emplace_back([&index, worker] {
                Random random(worker);
                for (int i = 0; i < 300; ++i) {
                    const auto prompt = chain(random.below(200), 150, 20);
                    const auto depths = match(index, prompt, {1, 2, 3, 4});
                    EXPECT_LE(std::ranges::max(depths), 150U);
                    index.record(prompt, worker);
                    if (i % 100 == 99) {
                        index.forget(worker);
                    }
                }
            });
        }
    }
    EXPECT_LE(index.bytes(), 20'000 * kBlock);
    index.record(chain(1, 150, 20), 2);
    EXPECT_EQ(match(index, chain(1, 150, 20), {2}), (Depths{150}));
}

}  // namespace
}  // namespace millrace::routing
