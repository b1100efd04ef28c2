#include "routing/rollout_report.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace millrace::routing {
namespace {

using namespace std::chrono_literals;

/// A rollout whose first step has begun, at that percentage, with nothing seen yet.
Rollout started(std::uint32_t percent) {
    RolloutPolicy policy;
    policy.steps = {percent, 100};
    Rollout rollout(policy, {"m", "v1", "v2", "new"});
    rollout.advance({}, {}, {});
    EXPECT_TRUE(rollout.command(RolloutCommand::start));
    return rollout;
}

TEST(RolloutReport, SaysWhoWhereAndWhy) {
    RolloutPolicy policy;
    policy.steps = {10, 100};
    policy.cost = std::nullopt;
    Rollout rollout(policy, {"m", "v1", "v2", "new"});
    ArmTotals stable;
    ArmTotals canary;
    Instant now{};
    rollout.advance(stable, canary, now);
    ASSERT_TRUE(rollout.command(RolloutCommand::start));
    stable.requests = 20;
    stable.errors = 2;
    canary.requests = 10;
    canary.errors = 1;
    for (int i = 0; i < 10; ++i) {
        stable.token_gap.add(token_gap_value(20ms));
        canary.token_gap.add(token_gap_value(40ms));
    }
    rollout.advance(stable, canary, now += 3500ms);
    const auto report = nlohmann::json::parse(report_json(rollout));
    EXPECT_EQ(report["model"], "m");
    EXPECT_EQ(report["stable"], "v1");
    EXPECT_EQ(report["canary"], "v2");
    EXPECT_EQ(report["phase"], "running");
    EXPECT_EQ(report["weight_percent"], 10);
    EXPECT_EQ(report["step_seconds"], 3);
    EXPECT_EQ(report["overdue"], false);
    EXPECT_EQ(report["canary_requests"], 10);
    EXPECT_EQ(report["stable_requests"], 20);
    EXPECT_EQ(report["explanation"], rollout.explain());
    ASSERT_EQ(report["comparisons"].size(), 3U);
    const auto& errors = report["comparisons"][0];
    EXPECT_EQ(errors["measure"], "error_rate");
    EXPECT_EQ(errors["verdict"], "undecided");
    EXPECT_DOUBLE_EQ(errors["canary"]["value"], 0.1);
    EXPECT_DOUBLE_EQ(errors["stable"]["value"], 0.1);
    EXPECT_DOUBLE_EQ(errors["harm"], 0.01);
    const auto& first_token = report["comparisons"][1];
    EXPECT_EQ(first_token["verdict"], "not_measured");
    EXPECT_TRUE(first_token["canary"].is_null());
    const auto& gap = report["comparisons"][2];
    EXPECT_NEAR(gap["canary"]["value"], 0.04, 1e-9);
    EXPECT_NEAR(gap["stable"]["value"], 0.02, 1e-9);
    EXPECT_EQ(gap["canary"]["observations"], 10);
}

TEST(RolloutReport, ShowsWhatATokenCosts) {
    ArmTotals stable;
    ArmTotals canary;
    auto rollout = started(10);
    for (int i = 0; i < 10; ++i) {
        stable.cost.add(cost_value(2e-6));
        canary.cost.add(cost_value(4e-6));
    }
    stable.requests = canary.requests = 10;
    rollout.advance(stable, canary, Instant(1s));
    const auto cost = nlohmann::json::parse(report_json(rollout))["comparisons"][3];
    EXPECT_EQ(cost["measure"], "cost");
    EXPECT_NEAR(cost["canary"]["value"], 4e-6, 1e-12);
    EXPECT_NEAR(cost["stable"]["value"], 2e-6, 1e-12);
}

TEST(RolloutReport, NamesTheMeasureThatWasWorse) {
    ArmTotals stable;
    ArmTotals canary;
    auto rollout = started(50);
    stable.requests = canary.requests = 50;
    canary.errors = 50;
    EXPECT_EQ(rollout.advance(stable, canary, Instant(1s)).kind, RolloutAction::Kind::rolled_back);
    const auto report = nlohmann::json::parse(report_json(rollout));
    EXPECT_EQ(report["phase"], "rolled_back");
    EXPECT_EQ(report["weight_percent"], 0);
    EXPECT_NE(report["explanation"].get<std::string>().find("error rate 100 % against 0 %"),
              std::string::npos);
}

}  // namespace
}  // namespace millrace::routing
