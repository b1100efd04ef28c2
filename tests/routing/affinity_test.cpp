#include "routing/affinity.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <list>
#include <map>
#include <queue>
#include <string>
#include <unordered_map>
#include <vector>

#include "config/base/random.hpp"
#include "routing/canary.hpp"
#include "routing/choice.hpp"
#include "routing/prefix_index.hpp"

namespace millrace::routing {
namespace {

using Candidates = std::vector<Candidate>;

constexpr double kNoGuard = std::numeric_limits<double>::infinity();

TEST(LoadGuard, CountsTheNewRequestIn) {
    const Candidates candidates{{.in_flight = 3}, {.in_flight = 4}, {.in_flight = 2}, {}};
    const LoadGuard guard(candidates, 1.25);
    EXPECT_EQ(guard.bound(candidates[0]), 4);  // ceil(1.25 * 10 / 4)
    EXPECT_TRUE(guard.admits(candidates[0]));
    EXPECT_FALSE(guard.admits(candidates[1]));
}

TEST(LoadGuard, LeavesAHandfulOfRequestsWhereTheyBelong) {
    Candidates candidates{{.in_flight = 3}, {}, {}, {}};
    EXPECT_TRUE(LoadGuard(candidates, 1.25).admits(candidates[0]));
    candidates[0].in_flight = 4;
    EXPECT_FALSE(LoadGuard(candidates, 1.25).admits(candidates[0]));
}

TEST(LoadGuard, DoesNotRoundAnExactBoundUp) {
    for (const double factor : {1.0, 1.1, 1.2, 1.25, 1.3, 1.7}) {
        for (std::uint32_t n = 1; n <= 20; ++n) {
            const Candidates candidates(n, {.in_flight = 99});
            Candidates level = candidates;
            level[0].in_flight = 99 + n - 1;  // together with the new one: 100 each
            EXPECT_EQ(LoadGuard(level, factor).bound(level[0]), std::ceil(factor * 100 - 1e-6));
        }
    }
}

TEST(LoadGuard, AsksNobodyForLessThanTheFairShare) {
    const Candidates candidates(4, {.in_flight = 10});
    EXPECT_EQ(LoadGuard(candidates, 0.5).bound(candidates[0]), 11);  // ceil(41 / 4)
    EXPECT_EQ(LoadGuard(candidates, 1).bound(candidates[0]), 11);
}

TEST(LoadGuard, NeverLeavesNobody) {
    Random random(1);
    for (int round = 0; round < 3000; ++round) {
        Candidates candidates(1 + random.below(8));
        for (auto& c : candidates) {
            c = {.in_flight = random.below(20),
                 .slots = random.below(20),
                 .admission = static_cast<float>(random.below(100)) / 99.0F,
                 .avoid = random.below(4) == 0};
        }
        const LoadGuard guard(candidates, 0.5 + random.below(3));
        const auto someone = [&](auto which) { return std::ranges::any_of(candidates, which); };
        const auto has_chance = [](const Candidate& c) { return has_room(c) && !c.avoid; };
        if (someone(has_chance)) {
            EXPECT_TRUE(someone([&](const auto& c) { return has_chance(c) && guard.admits(c); }));
        } else if (someone(has_room)) {
            EXPECT_TRUE(someone([&](const auto& c) { return has_room(c) && guard.admits(c); }));
        }
    }
}

TEST(LoadGuard, HoldsAmongTheAvoidedWhenNothingElseHasRoom) {
    const Candidates candidates{
        {.in_flight = 8, .avoid = true}, {.avoid = true}, {.in_flight = 1, .slots = 1}};
    const LoadGuard guard(candidates, 1.25);
    EXPECT_FALSE(guard.admits(candidates[0]));
    EXPECT_TRUE(guard.admits(candidates[1]));
}

TEST(LoadGuard, GivesSlowStartersTheirShare) {
    const Candidates candidates{{.in_flight = 35}, {.in_flight = 4, .admission = 0.125F}, {}, {}};
    const LoadGuard guard(candidates, 1.25);
    EXPECT_EQ(guard.bound(candidates[0]), 16);  // 1.25 * 40 / 3.125
    EXPECT_EQ(guard.bound(candidates[1]), 2);
    EXPECT_FALSE(guard.admits(candidates[1]));
}

TEST(LoadGuard, CanBeSwitchedOff) {
    const Candidates candidates{{.in_flight = 1'000'000}, {}};
    EXPECT_TRUE(LoadGuard(candidates, kNoGuard).admits(candidates[0]));
}

/// Endpoints with leases that begin and end.
class History {
public:
    History(std::uint64_t seed, double factor) : random_(seed), factor_(factor) {
        candidates_.resize(2 + random_.below(7));
        for (auto& candidate : candidates_) {
            candidate.identity = random_();
        }
    }

    void step() {
        if (!running_.empty() && random_.below(100) < 48) {
            end();
        } else {
            dispatch();
        }
    }

private:
    void end() {
        const auto count = static_cast<std::uint32_t>(running_.size());
        std::swap(running_[random_.below(count)], running_.back());
        --candidates_[running_.back()].in_flight;
        running_.pop_back();
    }

    void dispatch() {
        for (auto& candidate : candidates_) {
            candidate.matched_tokens = random_.below(4) == 0 ? 4000 : 0;
            candidate.has_adapter = random_.below(3) == 0;
            candidate.queued_prompt_tokens = random_.below(2) * 9000;
        }
        // A stage with affinity; the adapter's leaves the rest to the second one.
        const Policy policy{.stages = {static_cast<Stage>(random_.below(3)), Stage::load_aware},
                            .guard = factor_};
        const auto choice =
            choose(candidates_, {.prompt_tokens = 4000, .session_key = 5, .wants_adapter = true},
                   policy, random_);
        if (choice && choice->reason == Reason::load_aware) {
            return;  // no affinity, no bound
        }
        ASSERT_TRUE(choice);
        running_.push_back(choice->index);
        const auto share =
            static_cast<double>(running_.size()) / static_cast<double>(candidates_.size());
        EXPECT_LE(++candidates_[choice->index].in_flight,
                  std::max(4.0, std::ceil(factor_ * share - 1e-9)));
    }

    Random random_;
    double factor_;
    Candidates candidates_;
    std::vector<std::uint32_t> running_;
};

// However skewed the affinity: nobody is ever given a request that puts it above the bound.
TEST(LoadGuard, IsNeverExceededOverRandomHistories) {
    for (const double factor : {1.0, 1.25, 2.0}) {
        for (std::uint64_t seed = 1; seed <= 20; ++seed) {
            History history(seed, factor);
            for (int i = 0; i < 3000; ++i) {
                history.step();
            }
        }
    }
}

std::string owner(std::uint64_t key, const std::vector<std::string>& endpoints) {
    return *std::ranges::max_element(
        endpoints, {}, [key](const auto& url) { return session_affinity(key, stable_hash(url)); });
}

TEST(SessionAffinity, MovesOnlyWhatMustMoveWhenAnEndpointJoinsOrLeaves) {
    std::vector<std::string> four;
    for (int i = 0; i < 4; ++i) {
        four.push_back("http://10.0.0." + std::to_string(i) + ":8000");
    }
    auto five = four;
    five.insert(five.begin() + 1, "http://10.0.0.9:8000");
    constexpr int kKeys = 20'000;
    int moved = 0;
    std::map<std::string, int> counts;
    for (int i = 0; i < kKeys; ++i) {
        const auto key = stable_hash("session-" + std::to_string(i));
        const auto before = owner(key, four);
        const auto after = owner(key, five);
        ++counts[before];
        if (before != after) {
            ++moved;
            EXPECT_EQ(after, five[1]);
        }
    }
    EXPECT_NEAR(moved, kKeys / 5, 300);
    double chi = 0;
    for (const auto& [url, count] : counts) {
        chi += std::pow(count - kKeys / 4, 2) / (kKeys / 4.0);
    }
    EXPECT_EQ(counts.size(), 4U);
    EXPECT_LT(chi, 16.27);  // 0.1 % at three degrees of freedom
}

TEST(SessionAffinity, IsTheSameInEveryRelease) {
    EXPECT_DOUBLE_EQ(session_affinity(stable_hash("a"), stable_hash("b")), 0.39124193423479681);
}

// Conversations over four simulated endpoints: each has a prefix cache of bounded size, prefills in
// order at 8000 tokens/s and decodes for some seconds. Units: seconds, blocks of 64 tokens.
class Cluster {
public:
    struct Result {
        double hit_rate = 0;   ///< blocks found in a cache / blocks of prompts
        double imbalance = 0;  ///< largest / mean of in-flight requests over time
        double p99_ttft = 0;
    };
    /// Index of an endpoint; sees what a gateway can see, and each endpoint's true hits.
    using Pick = std::function<std::uint32_t(const Candidates&, const std::vector<std::size_t>&)>;

    explicit Cluster(std::uint64_t seed) : random_(seed) {
        double sum = 0;
        for (int i = 1; i <= kConversations; ++i) {
            popularity_.push_back(sum += 1.0 / i);
        }
        for (std::uint64_t i = 0; i < kConversations; ++i) {
            begin(i);
        }
    }

    Result run(const Pick& pick) {
        for (int i = 0; i < kRequests; ++i) {
            now_ += -std::log(1 - uniform()) / kArrivals;
            settle();
            const auto drawn =
                std::ranges::lower_bound(popularity_, uniform() * popularity_.back());
            serve(static_cast<std::size_t>(drawn - popularity_.begin()), pick);
        }
        Result result;
        result.hit_rate = static_cast<double>(hits_) / static_cast<double>(asked_);
        double sum = 0;
        double most = 0;
        for (const auto& endpoint : endpoints_) {
            sum += endpoint.busy;
            most = std::max(most, endpoint.busy);
        }
        result.imbalance = most / (sum / static_cast<double>(endpoints_.size()));
        std::ranges::sort(ttfts_);
        result.p99_ttft = ttfts_[ttfts_.size() * 99 / 100];
        return result;
    }

    /// Of the request that is being placed.
    std::uint32_t prompt_tokens() const { return prompt_tokens_; }

private:
    static constexpr int kConversations = 150;
    static constexpr int kRequests = 4000;
    static constexpr double kArrivals = 15;  // per second
    static constexpr double kRate = 8000;    // prefill tokens per second
    static constexpr std::size_t kCacheBlocks = 5000;
    static constexpr std::size_t kSystemBlocks = 8;
    static constexpr std::size_t kLongest = 120;
    static constexpr std::uint32_t kBlockTokens = 64;

    struct Endpoint {
        std::list<std::uint64_t> used;  ///< cached blocks, most recent first
        std::unordered_map<std::uint64_t, std::list<std::uint64_t>::iterator> cached;
        double free_at = 0;  ///< end of the prefills that it has
        std::uint32_t in_flight = 0;
        double busy = 0;  ///< in-flight requests, integrated over time
    };

    double uniform() { return static_cast<double>(random_() >> 11U) * 0x1.0p-53; }

    void begin(std::size_t conversation) {
        auto& blocks = conversations_[conversation];
        blocks.clear();
        for (std::uint64_t i = 0; i < kSystemBlocks; ++i) {
            blocks.push_back(stable_hash("system" + std::to_string(conversation % 3 * 100 + i)));
        }
    }

    void settle() {
        while (!ends_.empty() && ends_.top().first <= now_) {
            --endpoints_[ends_.top().second].in_flight;
            ends_.pop();
        }
    }

    static std::size_t cached_prefix(const Endpoint& endpoint,
                                     const std::vector<std::uint64_t>& prompt) {
        const auto miss = std::ranges::find_if(
            prompt, [&](std::uint64_t block) { return !endpoint.cached.contains(block); });
        return static_cast<std::size_t>(miss - prompt.begin());
    }

    static void remember(Endpoint& endpoint, const std::vector<std::uint64_t>& prompt) {
        for (auto block = prompt.rbegin(); block != prompt.rend(); ++block) {
            if (const auto found = endpoint.cached.find(*block); found != endpoint.cached.end()) {
                endpoint.used.erase(found->second);
            }
            endpoint.used.push_front(*block);
            endpoint.cached[*block] = endpoint.used.begin();
        }
        while (endpoint.used.size() > kCacheBlocks) {
            endpoint.cached.erase(endpoint.used.back());
            endpoint.used.pop_back();
        }
    }

    void serve(std::size_t conversation, const Pick& pick) {
        auto& prompt = conversations_[conversation];
        if (prompt.size() > kLongest) {
            begin(conversation);
        }
        for (auto blocks = 2 + random_.below(8); blocks > 0; --blocks) {
            prompt.push_back(random_());
        }
        const double decode = -std::log(1 - uniform()) * 4;
        std::vector<std::uint32_t> matched(endpoints_.size());
        index_.match(prompt, generations_, matched);
        Candidates candidates;
        std::vector<std::size_t> true_hits;
        for (std::size_t i = 0; i < endpoints_.size(); ++i) {
            const auto& endpoint = endpoints_[i];
            true_hits.push_back(cached_prefix(endpoint, prompt));
            candidates.push_back({.identity = generations_[i],
                                  .in_flight = endpoint.in_flight,
                                  .queued_prompt_tokens = static_cast<std::uint32_t>(
                                      std::max(0.0, endpoint.free_at - now_) * kRate),
                                  .matched_tokens = matched[i] * kBlockTokens});
        }
        prompt_tokens_ = static_cast<std::uint32_t>(prompt.size()) * kBlockTokens;
        const auto chosen = pick(candidates, true_hits);
        dispatch(endpoints_[chosen], chosen, prompt, true_hits[chosen], decode);
    }

    void dispatch(Endpoint& endpoint, std::uint32_t chosen,
                  const std::vector<std::uint64_t>& prompt, std::size_t hit, double decode) {
        const auto uncached = static_cast<double>(prompt.size() - hit) * kBlockTokens;
        endpoint.free_at = std::max(endpoint.free_at, now_) + uncached / kRate;
        const double end = endpoint.free_at + decode;
        ttfts_.push_back(endpoint.free_at - now_);
        endpoint.busy += end - now_;
        ++endpoint.in_flight;
        ends_.emplace(end, chosen);
        hits_ += hit;
        asked_ += prompt.size();
        remember(endpoint, prompt);
        index_.record(prompt, generations_[chosen]);
    }

    using End = std::pair<double, std::uint32_t>;
    Random random_;
    double now_ = 0;
    std::vector<double> popularity_;
    std::vector<std::vector<std::uint64_t>> conversations_{kConversations};
    std::vector<Endpoint> endpoints_{4};
    std::vector<std::uint64_t> generations_{1, 2, 3, 4};
    PrefixIndex index_{4 * kCacheBlocks * PrefixIndex::kBytesPerBlock};
    std::priority_queue<End, std::vector<End>, std::greater<>> ends_;
    std::vector<double> ttfts_;
    std::size_t hits_ = 0;
    std::size_t asked_ = 0;
    std::uint32_t prompt_tokens_ = 0;
};

Cluster::Result simulate(const Policy& policy, std::uint64_t seed) {
    Random random(seed + 1000);
    Cluster cluster(seed);
    return cluster.run([&](const Candidates& candidates, const auto&) {
        return choose(candidates, {.prompt_tokens = cluster.prompt_tokens()}, policy, random)
            ->index;
    });
}

/// Always to the endpoint that truly has most of the prompt, whatever its load.
Cluster::Result simulate_oracle(std::uint64_t seed) {
    Cluster cluster(seed);
    return cluster.run([](const Candidates& candidates, const std::vector<std::size_t>& hits) {
        std::uint32_t best = 0;
        for (std::uint32_t i = 1; i < hits.size(); ++i) {
            if (hits[i] > hits[best] ||
                (hits[i] == hits[best] && candidates[i].in_flight < candidates[best].in_flight)) {
                best = i;
            }
        }
        return best;
    });
}

TEST(PrefixAffinity, KeepsTheHitsOfUnboundedAffinityWithoutItsHotSpots) {
    for (const std::uint64_t seed : {1U, 2U}) {
        const auto oracle = simulate_oracle(seed);
        const auto guarded = simulate({.stages = {Stage::prefix_affinity}}, seed);
        const auto least = simulate({}, seed);
        EXPECT_GE(guarded.hit_rate, 0.9 * oracle.hit_rate);
        EXPECT_LE(guarded.imbalance, 1.3);
        EXPECT_GT(oracle.imbalance, 1.3);
        EXPECT_LT(guarded.p99_ttft, 0.7 * least.p99_ttft);
    }
}

}  // namespace
}  // namespace millrace::routing
