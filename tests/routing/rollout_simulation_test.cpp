// Does a rollout keep its promises? Two hundred seeded rollouts of each kind; bench/rollout prints
// what the canary's users were exposed to.
#include <gtest/gtest.h>

#include "bench/rollout/chance.hpp"
#include "bench/rollout/simulation.hpp"

namespace millrace::routing {
namespace {

using namespace std::chrono_literals;

constexpr int kRuns = 200;

/// Both promises on harm: of the rollout, and of its first step.
void expect_found(const bench::RolloutResults& results) {
    const int bound = bench::binomial_bound(kRuns, RolloutPolicy{}.missed_harm);
    EXPECT_LE(kRuns - results.rolled_back, bound);
    EXPECT_LE(results.past_first_step, bound);
}

TEST(RolloutSimulation, FindsACanaryWithTwentyPercentMoreTimeToFirstToken) {
    expect_found(bench::simulate({.slower = 1.2}, 1000, kRuns));
}

TEST(RolloutSimulation, FindsACanaryWithOnePointMoreErrors) {
    expect_found(bench::simulate({.more_errors = 0.01}, 2000, kRuns));
}

TEST(RolloutSimulation, FindsGreatHarmSoon) {
    const auto failing = bench::simulate({.more_errors = 0.3}, 3000, kRuns);
    EXPECT_EQ(failing.rolled_back, kRuns);
    EXPECT_LE(bench::quantile(failing.canary_requests, 0.9), 2 * bench::kTick);
    const auto slow = bench::simulate({.slower = 2}, 4000, kRuns);
    EXPECT_EQ(slow.rolled_back, kRuns);
    EXPECT_LE(bench::quantile(slow.canary_requests, 0.9), 2 * bench::kTick);
}

TEST(RolloutSimulation, PromotesAnIdenticalCanary) {
    const auto results = bench::simulate({}, 5000, kRuns);
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
                arm->errors += bench::binomial(random, n, incident ? 0.3 : 0.01);
                for (std::uint64_t i = 0; i < n; ++i) {
                    arm->first_token.add((incident ? 2 : 0) + 0.6 * bench::normal(random));
                }
            }
            rollout.advance(stable, canary, now += 10s);
        }
        rolled_back += rollout.phase() == RolloutPhase::rolled_back ? 1 : 0;
    }
    EXPECT_LE(rolled_back, bench::binomial_bound(50, policy.wrong_rollback));
}

}  // namespace
}  // namespace millrace::routing
