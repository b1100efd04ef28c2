#include "routing/rollout_settings.hpp"

#include <gtest/gtest.h>

#include "tests/routing/support.hpp"

namespace millrace::routing {
namespace {

TEST(RolloutSettings, DefaultsAreThoseOfThePolicy) {
    const auto policy = rollout_policy({});
    const RolloutPolicy expected;
    EXPECT_FALSE(problem(policy));
    EXPECT_EQ(policy.steps, expected.steps);
    EXPECT_EQ(policy.min_requests, expected.min_requests);
    EXPECT_EQ(policy.min_step_time, expected.min_step_time);
    EXPECT_EQ(policy.max_step_time, expected.max_step_time);
    EXPECT_EQ(policy.wrong_rollback, expected.wrong_rollback);
    EXPECT_EQ(policy.missed_harm, expected.missed_harm);
    for (const auto measure : {Measure::error_rate, Measure::first_token, Measure::token_gap}) {
        EXPECT_DOUBLE_EQ(policy.margin(measure)->tolerated, expected.margin(measure)->tolerated);
        EXPECT_DOUBLE_EQ(policy.margin(measure)->harm, expected.margin(measure)->harm);
    }
    EXPECT_FALSE(policy.cost) << "no prices are known by default";
}

TEST(RolloutSettings, ATimeWithoutHarmIsNotWatched) {
    config::Rollout settings;
    settings.token_gap.harm_percent = 0;
    EXPECT_FALSE(rollout_policy(settings).token_gap);
    EXPECT_TRUE(rollout_policy(settings).first_token);
}

TEST(RolloutSettings, ACostWithHarmIsWatched) {
    config::Rollout settings;
    settings.cost.harm_percent = 30;
    const auto policy = rollout_policy(settings);
    ASSERT_TRUE(policy.cost);
    EXPECT_DOUBLE_EQ(policy.cost->tolerated, 0.05);
    EXPECT_DOUBLE_EQ(policy.cost->harm, 0.3);
    EXPECT_FALSE(problem(policy));
}

TEST(RolloutSettings, NamesTheVariantsInEitherOrder) {
    auto model = testing::model(
        "m", {testing::variant("v1", 1, "old"), testing::variant("v2", 1, "new", "llama-ft2")});
    model.rollout.emplace().canary = "v2";
    EXPECT_EQ(rollout_names(model).identity(), "model m, v1 to v2 (new as llama-ft2)");
    model.rollout->canary = "v1";
    EXPECT_EQ(rollout_names(model).identity(), "model m, v2 to v1 (old)");
}

}  // namespace
}  // namespace millrace::routing
