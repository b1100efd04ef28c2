#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/config/fake_sources.hpp"

namespace millrace::config {
namespace {

using test::Case;
using test::load_text;

/// A model with a rollout; `%` in a case stands for what comes before its `rollout`.
constexpr const char* kTwoVariants =
    "backends: {a: {endpoints: {static: ['http://a']}}, b: {endpoints: {static: ['http://b']}}}\n"
    "models:\n"
    "  - id: m\n"
    "    variants: [{name: stable, backend: a}, {name: canary, backend: b}]\n"
    "    ";

std::string with_model(std::string text) {
    if (const auto at = text.find('%'); at != std::string::npos) {
        text.replace(at, 1, kTwoVariants);
    }
    return text;
}

class RolloutRule : public testing::TestWithParam<Case> {};

TEST_P(RolloutRule, IsAnErrorAtTheKeyThatBreaksIt) {
    expect_one_error(GetParam(), with_model(GetParam().text), {});
}

INSTANTIATE_TEST_SUITE_P(
    All, RolloutRule,
    testing::Values(
        Case{"%rollout: @@{}", "models[0].rollout", "The key `canary` is required."},
        Case{"%rollout: {canary: @@canari}", "models[0].rollout.canary",
             "`canari` is not a variant of `m`.", "did you mean `canary`?"},
        Case{"backends: {a: {endpoints: {static: ['http://a']}}}\nmodels: [{id: m, variants: "
             "[{name: x, backend: a}], rollout: @@{canary: x}}]",
             "models[0].rollout", "exactly two variants"},
        Case{"%rollout: {canary: canary, steps: @@[5, 5, 100]}", "models[0].rollout.steps",
             "percentages above 0 that grow"},
        Case{"%rollout: {canary: canary, steps: @@[5, 50]}", "models[0].rollout.steps",
             "the last one is 100"},
        Case{"%rollout: {canary: canary, steps: @@[0, 100]}", "models[0].rollout.steps", "above 0"},
        Case{"%rollout: {canary: canary, steps: @@[100]}", "models[0].rollout.steps",
             "at least 2 item"},
        Case{"%rollout: {canary: canary, min_step_time: 2h, max_step_time: @@1h}",
             "models[0].rollout.max_step_time", "shorter than `min_step_time`"},
        Case{"%rollout: {canary: canary, errors: @@{tolerated_permille: 10}}",
             "models[0].rollout.errors", "`tolerated_permille` must be smaller"},
        Case{"%rollout: {canary: canary, first_token: @@{tolerated_percent: 20}}",
             "models[0].rollout.first_token", "`tolerated_percent` must be smaller"},
        Case{"%rollout: {canary: canary, token_gap: @@{tolerated_percent: 21, harm_percent: 21}}",
             "models[0].rollout.token_gap", "`tolerated_percent` must be smaller"},
        Case{"%rollout: {canary: canary, cost: @@{harm_percent: 20}}", "models[0].rollout.cost",
             "both variants need a price: `backends.a.cost_per_hour` is not set"},
        Case{"backends: {a: {cost_per_hour: 2, endpoints: {static: ['http://a']}}, b: {endpoints: "
             "{static: ['http://b']}}}\nmodels: [{id: m, variants: [{name: x, backend: a}, {name: "
             "y, backend: b}], rollout: {canary: y, cost: @@{harm_percent: 20}}}]",
             "models[0].rollout.cost", "`backends.b.cost_per_hour` is not set"},
        Case{"backends: {a: {cost_per_hour: 2, endpoints: {static: ['http://a']}}}\nmodels: [{id: "
             "m, variants: [{name: x, backend: a}, {name: y, backend: a}], rollout: {canary: y, "
             "cost: @@{harm_percent: 4}}}]",
             "models[0].rollout.cost", "`tolerated_percent` must be smaller"}));

TEST(ValidateRollouts, TakesACostWhenBothBackendsHaveAPrice) {
    const auto result = load_text(
        "backends: {a: {cost_per_hour: 2.5, endpoints: {static: ['http://a']}}}\n"
        "models: [{id: m, variants: [{name: v1, backend: a}, {name: v2, backend: a}], rollout: "
        "{canary: v2, cost: {harm_percent: 20}}}]\n"
        "rollouts: {state_directory: state}");
    ASSERT_TRUE(result.loaded) << test::dump(result.problems);
    EXPECT_EQ(result.loaded->config.backends.at("a").cost_per_hour, Dollars{2'500'000});
    EXPECT_EQ(result.loaded->config.models[0].rollout->cost, (TimeMargin{5, 20}));
}

TEST(ValidateRollouts, TakesTheDefaultsAndTimesThatAreNotWatched) {
    const auto result =
        load_text(with_model("%rollout: {canary: canary, first_token: {harm_percent: 0}}\n"
                             "rollouts: {state_directory: state}"));
    ASSERT_TRUE(result.loaded) << test::dump(result.problems);
    const auto& rollout = *result.loaded->config.models[0].rollout;
    EXPECT_EQ(rollout.steps, (std::vector<std::uint32_t>{1, 5, 20, 50, 100}));
    EXPECT_EQ(result.loaded->config.rollouts.state_directory, "/etc/millrace/state");
}

TEST(ValidateRollouts, TakesOneTimeForShortestAndLongest) {
    const auto result = load_text(
        with_model("%rollout: {canary: canary, min_step_time: 1h, max_step_time: 1h, token_gap: "
                   "{tolerated_percent: 5, harm_percent: 0}}"));
    EXPECT_TRUE(result.loaded) << test::dump(result.problems);
}

TEST(ValidateRollouts, DoesNotSpeakOfRolloutsWhereThereAreNone) {
    const auto result = load_text(
        "backends: {a: {endpoints: {static: ['http://a']}}}\n"
        "models: [{id: m, variants: [{name: x, backend: a}]}]");
    EXPECT_THAT(test::dump(result.problems), testing::Not(testing::HasSubstr("Rollouts")));
}

TEST(ValidateRollouts, ReplacesTheDefaultStepsByThoseGiven) {
    const auto result = load_text(with_model("%rollout: {canary: canary, steps: [10, 100]}"));
    ASSERT_TRUE(result.loaded) << test::dump(result.problems);
    EXPECT_EQ(result.loaded->config.models[0].rollout->steps,
              (std::vector<std::uint32_t>{10, 100}));
}

TEST(ValidateRollouts, DoesNotMindWeightsThatDoNotCount) {
    const auto result = load_text(
        "backends: {a: {endpoints: {static: ['http://a']}}}\n"
        "models: [{id: m, variants: [{name: v1, weight: 0, backend: a}, {name: v2, weight: 0, "
        "backend: a}], rollout: {canary: v2}}]");
    EXPECT_THAT(test::dump(result.problems), testing::Not(testing::HasSubstr("All weights")));
}

TEST(ValidateRollouts, WarnsThatARestartForgets) {
    const auto result = load_text(with_model("%rollout: {canary: canary}"));
    EXPECT_THAT(test::dump(result.problems), testing::HasSubstr("kept in memory only"));
    const auto kept =
        load_text(with_model("%rollout: {canary: canary}\nrollouts: {state_directory: /var/x}"));
    EXPECT_THAT(test::dump(kept.problems), testing::Not(testing::HasSubstr("memory only")));
}

}  // namespace
}  // namespace millrace::config
