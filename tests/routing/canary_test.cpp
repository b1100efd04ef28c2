#include "routing/canary.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

namespace millrace::routing {
namespace {

using Weights = std::vector<std::uint32_t>;

WeightTable table_of(const Weights& weights) {
    static const std::string kNames = "abcdefghijklmnopqrstuvwxyz";
    std::vector<Share> shares;
    for (std::size_t i = 0; i < weights.size(); ++i) {
        shares.push_back({std::string_view(kNames).substr(i % kNames.size(), 1), weights[i]});
    }
    return WeightTable(shares);
}

std::vector<std::uint64_t> counts_of(const WeightTable& table, std::uint64_t from,
                                     std::uint64_t n) {
    std::vector<std::uint64_t> counts(table.size());
    for (std::uint64_t t = from; t < from + n; ++t) {
        ++counts[table.pick(t)];
    }
    return counts;
}

const std::vector<Weights>& weight_sets() {
    static const std::vector<Weights> kSets = {
        {80, 20},
        {90, 10},
        {99, 1},
        {1, 1},
        {1, 1, 1},
        {5, 3, 2},
        {50, 30, 15, 5},
        {1, 0},
        {0, 3, 0, 1},
        {997, 3},
        {1, 2, 4, 8, 16},
        {7, 11, 13, 17, 19, 23},
        {1'000'000, 1},
        {999'983, 1'000'000},
        {1'000'000, 1'000'000, 1'000'000},
        {333'333, 666'667},
    };
    return kSets;
}

TEST(Canary, KeepsWeightsWithinOnePercent) {
    const auto counts = counts_of(table_of({80, 20}), 0, 100'000);
    EXPECT_EQ(counts[0], 80'000U);
    EXPECT_EQ(counts[1], 20'000U);
}

TEST(Canary, IsExactOverEveryWindowOfTickets) {
    for (const auto& weights : weight_sets()) {
        const auto table = table_of(weights);
        const auto window = table.window();
        for (const std::uint64_t start : {window / 3 + 1, ~std::uint64_t{0} / 2}) {
            const auto counts = counts_of(table, start, window);
            for (std::size_t i = 0; i < weights.size(); ++i) {
                EXPECT_EQ(counts[i], table.weight(i)) << "index " << i << " from " << start;
            }
        }
    }
}

// The interleaving must be smooth, not blocks: after any number of tickets each variant is near its
// share.
TEST(Canary, StaysNearTheShareAfterEveryTicket) {
    for (const auto& weights : weight_sets()) {
        const auto table = table_of(weights);
        const auto total = static_cast<double>(table.window());
        std::vector<double> counts(weights.size());
        double worst = 0;
        for (std::uint64_t t = 0; t < std::min<std::uint64_t>(table.window(), 100'000); ++t) {
            counts[table.pick(t)] += 1;
            for (std::size_t i = 0; i < weights.size(); ++i) {
                const auto due =
                    static_cast<double>(t + 1) * static_cast<double>(table.weight(i)) / total;
                worst = std::max(worst, std::abs(counts[i] - due));
            }
        }
        EXPECT_LT(worst, 3.0) << "first weights " << weights[0] << "/" << weights[1];
    }
}

TEST(Canary, PassesChiSquareOverAHundredThousandPicks) {
    for (const auto& weights : weight_sets()) {
        const auto table = table_of(weights);
        const auto counts = counts_of(table, 12'345, 100'000);
        double chi = 0;
        for (std::size_t i = 0; i < weights.size(); ++i) {
            const double expected = 100'000.0 * static_cast<double>(table.weight(i)) /
                                    static_cast<double>(table.window());
            if (expected == 0) {
                EXPECT_EQ(counts[i], 0U);
                continue;
            }
            chi += std::pow(static_cast<double>(counts[i]) - expected, 2) / expected;
        }
        EXPECT_LT(chi,
                  10.83);  // 0.1 % at one degree of freedom; interleaving is far better than chance
    }
}

TEST(Canary, IsExactWhenThreadsShareOneTicket) {
    const auto table = table_of({80, 20});
    TicketCounter tickets;
    std::vector<std::vector<std::uint64_t>> counts(4, std::vector<std::uint64_t>(2));
    {
        std::vector<std::jthread> threads;
        for (auto& own : counts) {
            threads.emplace_back([&] {
                for (int i = 0; i < 25'000; ++i) {
                    ++own[table.pick(tickets.next())];
                }
            });
        }
    }
    std::uint64_t canary = 0;
    for (const auto& own : counts) {
        canary += own[1];
    }
    EXPECT_EQ(canary, 20'000U);
}

TEST(Canary, NeverPicksWeightZero) {
    const auto table = table_of({0, 3, 0, 1, 0});
    for (std::uint64_t t = 0; t < 1000; ++t) {
        EXPECT_TRUE(table.pick(t) == 1 || table.pick(t) == 3);
        const auto sticky = table.pick_sticky(stable_hash(std::to_string(t)));
        EXPECT_TRUE(sticky == 1 || sticky == 3);
    }
}

TEST(Canary, KnowsTheOnlyVariantAndWhenThereIsNone) {
    EXPECT_EQ(table_of({0, 5, 0}).only(), 1U);
    EXPECT_EQ(table_of({1, 5}).only(), 2U);
    EXPECT_TRUE(table_of({0, 0}).all_zero());
    EXPECT_TRUE(table_of({}).all_zero());
}

TEST(Canary, RoundsSharesWhenTheWindowWouldOverflow) {
    const Weights weights(5000, 999'999);
    std::vector<Share> shares;
    for (const auto weight : weights) {
        shares.push_back({"x", weight});
    }
    shares.push_back({"y", 1'000'000});
    const WeightTable table(shares);
    EXPECT_LE(table.window(), 0xffff'ffffU);
    EXPECT_LT(table.pick(123'456'789), shares.size());
}

TEST(StickyCanary, GivesEachVariantItsShareOfKeys) {
    const auto table = table_of({80, 20});
    int canary = 0;
    for (int i = 0; i < 100'000; ++i) {
        canary += table.pick_sticky(stable_hash("user-" + std::to_string(i))) == 1 ? 1 : 0;
    }
    EXPECT_NEAR(canary, 20'000, 600);
}

TEST(StickyCanary, KeysStayWhileWeightsStand) {
    const auto table = table_of({80, 20});
    const auto doubled = table_of({8000, 2000});
    for (int i = 0; i < 10'000; ++i) {
        const auto key = stable_hash("user-" + std::to_string(i));
        EXPECT_EQ(table.pick_sticky(key), table.pick_sticky(key));
        EXPECT_EQ(table.pick_sticky(key), doubled.pick_sticky(key));
    }
}

// 80/20 → 70/30: exactly the keys that must move do, a tenth, and all of them towards the canary.
TEST(StickyCanary, MovesAsFewKeysAsPossibleWhenWeightsChange) {
    const auto before = table_of({80, 20});
    const auto after = table_of({70, 30});
    int moved = 0;
    for (int i = 0; i < 100'000; ++i) {
        const auto key = stable_hash("user-" + std::to_string(i));
        const auto from = before.pick_sticky(key);
        const auto to = after.pick_sticky(key);
        if (from != to) {
            EXPECT_EQ(from, 0U);
            EXPECT_EQ(to, 1U);
            ++moved;
        }
    }
    EXPECT_NEAR(moved, 10'000, 600);
}

TEST(StickyCanary, DoesNotDependOnTheOrderOfVariants) {
    const WeightTable one(std::vector<Share>{{"stable", 80}, {"canary", 20}});
    const WeightTable two(std::vector<Share>{{"canary", 20}, {"stable", 80}});
    for (int i = 0; i < 1000; ++i) {
        const auto key = stable_hash(std::to_string(i));
        EXPECT_EQ(one.pick_sticky(key), 1 - two.pick_sticky(key));
    }
}

TEST(StickyCanary, TwoVariantsOfOneNameBothGetKeys) {
    const WeightTable table(std::vector<Share>{{"same", 1}, {"same", 1}});
    int second = 0;
    for (int i = 0; i < 10'000; ++i) {
        second += table.pick_sticky(stable_hash(std::to_string(i))) == 1 ? 1 : 0;
    }
    EXPECT_NEAR(second, 5000, 300);
}

TEST(StickyCanary, HashesTheSameInEveryRelease) {
    EXPECT_EQ(stable_hash("user-1"), stable_hash(std::string("user-") + "1"));
    EXPECT_EQ(stable_hash("a"), 0x8097ca68b9cc797bULL);
}

TEST(TicketDirectory, KeepsACounterWhileSomebodyHoldsIt) {
    TicketDirectory directory;
    auto first = directory.acquire("route a");
    EXPECT_EQ(first->next(), 0U);
    auto second = directory.acquire("route a");
    EXPECT_EQ(second->next(), 1U);
    first.reset();
    second.reset();
    EXPECT_EQ(directory.acquire("route a")->next(), 0U);
}

}  // namespace
}  // namespace millrace::routing
