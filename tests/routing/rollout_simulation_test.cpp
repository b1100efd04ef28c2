// Does a rollout keep its promises? Two hundred seeded rollouts of each kind under the default
// policy, with log-normal times on a mixture of prompt lengths and a stable error rate of 1 %.
// Prints what the canary's users were exposed to. Minimum times are off: figures are in requests,
// and those of the test alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "routing/rollout.hpp"
#include "tests/routing/rollout_support.hpp"

namespace millrace::routing {
namespace {

using namespace std::chrono_literals;

constexpr int kRuns = 200;
constexpr std::uint64_t kTick = 50;  ///< canary requests per tick
constexpr double kStableErrors = 0.01;

struct Canary {
    double more_errors = 0;
    double slower = 1;  ///< factor on the time to first token
};

struct Results {
    int promoted = 0;
    int rolled_back = 0;
    int past_first_step = 0;
    std::vector<double> canary_requests;
    std::vector<double> all_requests;
};

double quantile(std::vector<double> values, double q) {
    std::ranges::sort(values);
    return values.at(static_cast<std::size_t>(q * static_cast<double>(values.size() - 1)));
}

/// Values of stable requests, drawn once; any stretch of them is summed by two subtractions,
/// because the stable arm is 99 times the canary's.
class StableValues {
public:
    template <class Draw>
    StableValues(std::uint64_t seed, Draw draw) {
        Random random(seed);
        sums_.resize(kSize + 1);
        for (std::size_t i = 0; i < kSize; ++i) {
            sums_[i + 1] = sums_[i];
            sums_[i + 1].add(draw(random));
        }
    }
    Moments sample(Random& random, std::uint64_t n) const {
        const auto from = random.below(static_cast<std::uint32_t>(kSize - n));
        return sums_[from + n].since(sums_[from]);
    }

private:
    static constexpr std::size_t kSize = 1U << 18U;
    std::vector<Moments> sums_;
};

/// Short, middling and long prompts; a fixed part and a prefill of 8000 tokens/s, times noise of
/// sigma 0.6. What the scaling by prompt leaves over adds to the spread.
double draw_first_token(Random& random) {
    const double kind = test::uniform(random);
    const std::uint64_t prompt = kind < 0.6 ? 200 : kind < 0.9 ? 2000 : 12'000;
    const double time =
        (0.05 + static_cast<double>(prompt) / 8000) * std::exp(0.6 * test::normal(random));
    return first_token_value(Duration(std::llround(time * 1e9)), prompt);
}

double draw_gap(Random& random) {
    return std::log(0.02) + 0.4 * test::normal(random);
}

void serve(Random& random, const Canary& kind, std::uint32_t weight, ArmTotals& stable,
           ArmTotals& canary) {
    static const StableValues kFirstTokens(7, draw_first_token);
    static const StableValues kGaps(8, draw_gap);
    const auto others = kTick * (100 - weight) / weight;
    stable += {others,
               test::binomial(random, others, kStableErrors),
               kFirstTokens.sample(random, others),
               kGaps.sample(random, others),
               {}};
    canary.requests += kTick;
    canary.errors += test::binomial(random, kTick, kStableErrors + kind.more_errors);
    for (std::uint64_t i = 0; i < kTick; ++i) {
        canary.first_token.add(draw_first_token(random) + std::log(kind.slower));
        canary.token_gap.add(draw_gap(random));
    }
}

Rollout run(const Canary& kind, const RolloutPolicy& policy, std::uint64_t seed, bool& stepped) {
    Random random(seed);
    Rollout rollout(policy, {"chat", "v1", "v2", ""});
    ArmTotals stable;
    ArmTotals canary;
    Instant now{};
    rollout.advance(stable, canary, now);
    EXPECT_TRUE(rollout.command(RolloutCommand::start));
    for (int tick = 0; tick < 20'000 && rollout.phase() == RolloutPhase::running; ++tick) {
        serve(random, kind, rollout.weight(), stable, canary);
        const auto action = rollout.advance(stable, canary, now += 10s);
        stepped = stepped || action.kind == RolloutAction::Kind::stepped;
    }
    return rollout;
}

Results simulate(const char* name, const Canary& kind, std::uint64_t first_seed) {
    RolloutPolicy policy;
    policy.min_step_time = 0s;
    Results results;
    for (std::uint64_t seed = first_seed; seed < first_seed + kRuns; ++seed) {
        bool stepped = false;
        const auto rollout = run(kind, policy, seed, stepped);
        results.past_first_step += stepped ? 1 : 0;
        results.promoted += rollout.phase() == RolloutPhase::promoted ? 1 : 0;
        results.rolled_back += rollout.phase() == RolloutPhase::rolled_back ? 1 : 0;
        const auto& state = rollout.state();
        results.canary_requests.push_back(static_cast<double>(state.canary_requests));
        results.all_requests.push_back(
            static_cast<double>(state.canary_requests + state.stable_requests));
    }
    std::printf(
        "%-22s %3d promoted, %3d rolled back, %3d past the first step; canary requests median %.0f "
        "p90 %.0f; all requests median %.0f p90 %.0f\n",
        name, results.promoted, results.rolled_back, results.past_first_step,
        quantile(results.canary_requests, 0.5), quantile(results.canary_requests, 0.9),
        quantile(results.all_requests, 0.5), quantile(results.all_requests, 0.9));
    return results;
}

/// Both promises on harm: of the rollout, and of its first step.
void expect_found(const Results& results) {
    const int bound = test::binomial_bound(kRuns, RolloutPolicy{}.missed_harm);
    EXPECT_LE(kRuns - results.rolled_back, bound);
    EXPECT_LE(results.past_first_step, bound);
}

TEST(RolloutSimulation, FindsACanaryWithTwentyPercentMoreTimeToFirstToken) {
    expect_found(simulate("+20 % first token", {.slower = 1.2}, 1000));
}

TEST(RolloutSimulation, FindsACanaryWithOnePointMoreErrors) {
    expect_found(simulate("+1 point of errors", {.more_errors = 0.01}, 2000));
}

TEST(RolloutSimulation, FindsGreatHarmSoon) {
    const auto failing = simulate("+30 points of errors", {.more_errors = 0.3}, 3000);
    EXPECT_EQ(failing.rolled_back, kRuns);
    EXPECT_LE(quantile(failing.canary_requests, 0.9), 2 * kTick);
    const auto slow = simulate("twice the first token", {.slower = 2}, 4000);
    EXPECT_EQ(slow.rolled_back, kRuns);
    EXPECT_LE(quantile(slow.canary_requests, 0.9), 2 * kTick);
}

TEST(RolloutSimulation, PromotesAnIdenticalCanary) {
    const auto results = simulate("identical", {}, 5000);
    EXPECT_GE(results.promoted, kRuns * 95 / 100);
    EXPECT_EQ(results.promoted + results.rolled_back, kRuns) << "some never ended";
}

// Incidents that hit both arms, during some of which the canary gets nothing: an average over all
// of time would blame it or hide behind it.
TEST(RolloutSimulation, IsNotMovedByWhatMovesBothArms) {
    RolloutPolicy policy;
    policy.min_step_time = 0s;
    policy.steps = {20, 100};
    int rolled_back = 0;
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
        Random random(seed);
        Rollout rollout(policy, {"chat", "v1", "v2", ""});
        ArmTotals stable;
        ArmTotals canary;
        Instant now{};
        rollout.advance(stable, canary, now);
        ASSERT_TRUE(rollout.command(RolloutCommand::start));
        ASSERT_TRUE(rollout.command(RolloutCommand::pause));
        for (int tick = 0; tick < 400; ++tick) {
            const bool incident = tick / 100 % 2 == 1;
            const auto others = incident ? 20U : 100U;
            for (auto* arm : {&stable, &canary}) {
                const std::uint64_t n = arm == &stable ? others : tick % 300 < 200 ? 20U : 0U;
                arm->requests += n;
                arm->errors += test::binomial(random, n, incident ? 0.3 : 0.01);
                for (std::uint64_t i = 0; i < n; ++i) {
                    arm->first_token.add((incident ? 2 : 0) + 0.6 * test::normal(random));
                }
            }
            rollout.advance(stable, canary, now += 10s);
        }
        rolled_back += rollout.phase() == RolloutPhase::rolled_back ? 1 : 0;
    }
    EXPECT_LE(rolled_back, test::binomial_bound(50, policy.wrong_rollback));
}

}  // namespace
}  // namespace millrace::routing
