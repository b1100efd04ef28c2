#include "routing/rollout.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

namespace millrace::routing {
namespace {

using namespace std::chrono_literals;
using Kind = RolloutAction::Kind;
using Command = RolloutCommand;
using Phase = RolloutPhase;

const RolloutNames kNames{"chat", "v1", "v2", "llama-v2 as llama-ft2"};

/// A rollout with both arms' counters and a clock.
struct Arms {
    explicit Arms(const RolloutPolicy& policy = {}) : rollout(policy, kNames) {}

    void begin() {
        tick(0s);
        EXPECT_TRUE(rollout.command(Command::start));
    }
    RolloutAction tick(Duration passed = 10s) {
        now += passed;
        return rollout.advance(stable, canary, now);
    }
    /// Requests of both arms by the rollout's share, of the canary `n`; latencies spread by 20 %.
    void serve(std::uint64_t n, std::uint64_t canary_errors = 0, double slower = 1) {
        const auto others = n * (100 - rollout.weight()) / rollout.weight();
        add(stable, others, others / 100, 1);
        add(canary, n, canary_errors, slower);
    }
    static void add(ArmTotals& arm, std::uint64_t n, std::uint64_t errors, double slower) {
        arm.requests += n;
        arm.errors += errors;
        for (std::uint64_t i = 0; i < n; ++i) {
            const auto spread = i % 2 == 0 ? 1.2 : 0.8;
            const auto time = std::chrono::duration_cast<Duration>(100ms * spread * slower);
            arm.first_token.add(first_token_value(time, 500));
            arm.token_gap.add(token_gap_value(time / 10));
        }
    }
    /// Good ticks until the rollout does something.
    RolloutAction until_action(int most = 1000) {
        for (int i = 0; i < most; ++i) {
            serve(50);
            if (auto action = tick(); action.kind != Kind::none) {
                return action;
            }
        }
        return {};
    }

    Instant now{};
    ArmTotals stable;
    ArmTotals canary;
    Rollout rollout;
};

TEST(Rollout, WaitsWithoutTrafficUntilItIsStarted) {
    Arms arms;
    EXPECT_EQ(arms.tick().kind, Kind::none);
    EXPECT_EQ(arms.rollout.phase(), Phase::waiting);
    EXPECT_EQ(arms.rollout.weight(), 0U);
    EXPECT_EQ(arms.rollout.explain(),
              "canary v2 of model chat waits to be started; v1 gets everything");
    arms.begin();
    EXPECT_EQ(arms.rollout.phase(), Phase::running);
    EXPECT_EQ(arms.rollout.weight(), 1U);
}

TEST(Rollout, StepsUpOnEvidenceToPromotion) {
    Arms arms;
    arms.begin();
    for (const auto weight : {5U, 20U, 50U}) {
        const auto action = arms.until_action();
        EXPECT_EQ(action.kind, Kind::stepped);
        EXPECT_EQ(action.weight, weight);
        EXPECT_EQ(arms.rollout.weight(), weight);
    }
    const auto action = arms.until_action();
    EXPECT_EQ(action.kind, Kind::promoted);
    EXPECT_EQ(action.weight, 100U);
    EXPECT_EQ(arms.rollout.phase(), Phase::promoted);
    EXPECT_EQ(arms.rollout.explain(),
              "canary v2 of model chat is promoted: every measure was within its margin at 50 %, "
              "after " +
                  std::to_string(arms.canary.requests) + " canary requests");
    EXPECT_EQ(arms.tick().kind, Kind::none);
}

TEST(Rollout, RollsBackAtOnceWhenTheCanaryFails) {
    Arms arms;
    arms.begin();
    arms.serve(8, 8);
    const auto action = arms.tick(1s);
    EXPECT_EQ(action.kind, Kind::rolled_back);
    EXPECT_EQ(action.weight, 0U);
    EXPECT_EQ(arms.rollout.phase(), Phase::rolled_back);
    EXPECT_EQ(
        action.reason,
        "at 1 % the canary's error rate 100 % against 0.884 % (n = 8 and 792), worse than the "
        "stable variant by more than the tolerated 0.2 points, after 8 canary requests");
    EXPECT_EQ(arms.rollout.explain(), "canary v2 of model chat is rolled back: " + action.reason);
}

TEST(Rollout, RollsBackASlowCanaryAndSaysHowSlow) {
    Arms arms;
    arms.begin();
    arms.serve(200, 2, 1.5);
    const auto action = arms.tick();
    EXPECT_EQ(action.kind, Kind::rolled_back);
    EXPECT_EQ(action.reason,
              "at 1 % the canary's first token 220 ms against 147 ms (+50 %, n = 200 and 19800), "
              "worse than the stable variant by more than the tolerated 5 %, after 200 canary "
              "requests");
}

TEST(Rollout, RollsBackADearCanary) {
    Arms arms;
    arms.begin();
    arms.serve(100, 1);
    for (int i = 0; i < 100; ++i) {
        arms.stable.cost.add(cost_value(2e-6));
        arms.canary.cost.add(cost_value(3e-6));
    }
    EXPECT_EQ(arms.tick().kind, Kind::rolled_back);
    EXPECT_NE(arms.rollout.explain().find("cost per token $3e-06 against $2e-06 (+50 %"),
              std::string::npos)
        << arms.rollout.explain();
}

TEST(Rollout, ComparesCostOnlyWhenBothAreKnown) {
    Arms arms;
    arms.begin();
    for (int i = 0; i < 40; ++i) {
        arms.serve(50);
        for (int j = 0; j < 50; ++j) {
            arms.canary.cost.add(cost_value(1e-3));
        }
        if (arms.tick().kind == Kind::stepped) {
            return;
        }
    }
    FAIL() << arms.rollout.explain();
}

TEST(Rollout, NeedsTheMinimumOfTimeAndRequests) {
    RolloutPolicy policy;
    policy.min_requests = 5000;
    policy.min_step_time = 1h;
    Arms arms(policy);
    arms.begin();
    for (int i = 0; i < 4; ++i) {
        arms.serve(1200);
        EXPECT_EQ(arms.tick(30min).kind, Kind::none);  // too few requests
    }
    arms.serve(1200);
    EXPECT_EQ(arms.tick().kind, Kind::stepped);
    arms.serve(6000);
    EXPECT_EQ(arms.tick(59min).kind, Kind::none);  // too early: a step begins anew
    EXPECT_EQ(arms.tick(1min).kind, Kind::stepped);
}

TEST(Rollout, NeverStepsUpOnSilence) {
    Arms arms;
    arms.begin();
    arms.serve(60);
    RolloutAction overdue;
    int said = 0;
    for (int hour = 0; hour < 100; ++hour) {
        const auto action = arms.tick(1h);
        ASSERT_TRUE(action.kind == Kind::none || action.kind == Kind::overdue);
        said += action.kind == Kind::overdue ? 1 : 0;
    }
    EXPECT_EQ(said, 1);
    EXPECT_TRUE(arms.rollout.overdue());
    EXPECT_EQ(arms.rollout.weight(), 1U);
    EXPECT_EQ(
        arms.rollout.explain(),
        "canary v2 of model chat gets 1 % (step 1 of 5, 100 h), held: too little evidence for "
        "longer than 24 h: error rate 0 % against 0.993 % (n = 60 and 5940) is undecided; "
        "first token 147 ms against 147 ms (+0 %, n = 60 and 5940) is short of harm; token gap "
        "9.8 ms against 9.8 ms (+0 %, n = 60 and 5940) is short of harm");
    EXPECT_EQ(arms.until_action().kind, Kind::stepped);  // evidence still counts
}

TEST(Rollout, HoldsWhenOneArmIsNotMeasured) {
    Arms arms;
    arms.begin();
    for (int i = 0; i < 100; ++i) {
        arms.stable.requests += 4950;
        arms.canary.requests += 50;
        arms.stable.first_token.add(0);
        ASSERT_EQ(arms.tick().kind, Kind::none);
    }
    EXPECT_NE(arms.rollout.explain().find("first token not yet comparable is undecided"),
              std::string::npos)
        << arms.rollout.explain();
}

TEST(Rollout, WorksWithoutStreams) {
    Arms arms;
    arms.begin();
    for (int i = 0; i < 31; ++i) {
        arms.stable.requests += 4950;
        arms.canary.requests += 50;
        arms.tick();
    }
    EXPECT_EQ(arms.rollout.weight(), 5U);
}

TEST(Rollout, TakesNoteOnlyWhenTotalsShrink) {
    Arms arms;
    arms.stable = {1000, 10, {}, {}, {}};
    arms.canary = {1000, 1000, {}, {}, {}};
    arms.begin();  // what was before the start is not evidence
    EXPECT_EQ(arms.tick().kind, Kind::none);
    EXPECT_EQ(arms.rollout.state().canary_requests, 0U);
    arms.stable = {100, 0, {}, {}, {}};
    arms.canary = {50, 50, {}, {}, {}};
    EXPECT_EQ(arms.tick().kind, Kind::none);
    arms.canary.requests += 8;
    arms.canary.errors += 8;
    arms.stable.requests += 800;
    EXPECT_EQ(arms.tick().kind, Kind::rolled_back);
    EXPECT_EQ(arms.rollout.state().canary_requests, 8U);
}

TEST(Rollout, PausedKeepsItsShareButStillRollsBack) {
    Arms arms;
    arms.begin();
    ASSERT_TRUE(arms.rollout.command(Command::pause));
    EXPECT_EQ(arms.until_action(200).kind, Kind::none);
    EXPECT_EQ(arms.rollout.weight(), 1U);
    EXPECT_NE(arms.rollout.explain().find("paused by hand"), std::string::npos);
    ASSERT_TRUE(arms.rollout.command(Command::resume));
    EXPECT_EQ(arms.tick().kind, Kind::stepped);  // evidence was kept
    ASSERT_TRUE(arms.rollout.command(Command::pause));
    arms.serve(50, 50);
    EXPECT_EQ(arms.tick().kind, Kind::rolled_back);
}

TEST(Rollout, KeepsItsEvidenceOverARestart) {
    Arms arms;
    arms.begin();
    arms.until_action();
    for (int i = 0; i < 10; ++i) {
        arms.serve(50);
        arms.tick();
    }
    Arms after;  // a new process counts from zero
    auto [back, note] = Rollout::restore({}, kNames, arms.rollout.to_json());
    EXPECT_EQ(note, "");
    EXPECT_EQ(back.state(), arms.rollout.state());
    EXPECT_EQ(back.explain(), arms.rollout.explain());
    after.rollout = back;
    after.tick();
    int ticks = 0;
    for (auto kind = Kind::none; kind == Kind::none && ticks < 1000; ++ticks) {
        arms.serve(50);
        after.serve(50);
        kind = arms.tick().kind;
        ASSERT_EQ(after.tick().kind, kind);
    }
    EXPECT_GT(ticks, 1);
    EXPECT_EQ(after.rollout.weight(), 20U);
    EXPECT_EQ(after.rollout.state().canary_requests, arms.rollout.state().canary_requests);
}

TEST(Rollout, StartsAnewFromWhatItCannotUse) {
    Arms arms;
    arms.begin();
    const auto text = arms.rollout.to_json();
    const auto expect_anew = [](const Rollout::Restored& restored, std::string_view note) {
        EXPECT_EQ(restored.rollout.phase(), Phase::waiting);
        EXPECT_EQ(restored.note, note);
    };
    expect_anew(Rollout::restore({}, kNames, "?"),
                "the rollout starts anew: the stored rollout is not JSON");
    auto other = kNames;
    other.revision = "v3";
    expect_anew(Rollout::restore({}, other, text),
                "the rollout starts anew: the stored rollout is of model chat, v1 to v2 (llama-v2 "
                "as llama-ft2), not of model chat, v1 to v2 (v3)");
    RolloutPolicy policy;
    policy.steps = {2, 100};
    expect_anew(Rollout::restore(policy, kNames, text),
                "the rollout starts anew: its stored share of 1 % is no longer one of the steps");
    policy.steps = {1, 2, 100};
    EXPECT_EQ(Rollout::restore(policy, kNames, text).rollout.weight(), 1U);
}

TEST(Rollout, StaysRolledBackOverARestart) {
    Arms arms;
    arms.begin();
    arms.serve(8, 8);
    arms.tick();
    const auto back = Rollout::restore({}, kNames, arms.rollout.to_json());
    EXPECT_EQ(back.rollout.phase(), Phase::rolled_back);
    EXPECT_EQ(back.rollout.explain(), arms.rollout.explain());
}

TEST(RolloutPolicy, NamesWhatIsWrong) {
    EXPECT_EQ(problem({}), std::nullopt);
    const auto wrong = [](auto change) {
        RolloutPolicy policy;
        change(policy);
        return problem(policy).value_or("nothing");
    };
    for (const auto& steps : std::vector<std::vector<std::uint32_t>>{
             {}, {100}, {1, 5}, {0, 100}, {5, 5, 100}, {20, 5, 100}}) {
        EXPECT_NE(wrong([&](auto& policy) { policy.steps = steps; }).find("steps"),
                  std::string::npos);
    }
    EXPECT_NE(wrong([](auto& policy) { policy.missed_harm = 0; }).find("probabilities"),
              std::string::npos);
    EXPECT_NE(wrong([](auto& policy) { policy.max_step_time = 1s; }).find("longest"),
              std::string::npos);
    EXPECT_EQ(
        wrong([](auto& policy) { policy.error_rate = {0.01, 0.01}; }),
        "the margins of error_rate need 0 <= tolerated < harm, and harm below 1 (100 points)");
    EXPECT_NE(wrong([](auto& policy) { policy.cost = Margin{0.1, 10}; }).find("cost"),
              std::string::npos);
}

TEST(RolloutValues, ScaleTheFirstTokenToAThousandPromptTokens) {
    EXPECT_DOUBLE_EQ(std::exp(first_token_value(300ms, 1000)), 0.3);
    EXPECT_DOUBLE_EQ(std::exp(first_token_value(300ms, 2500)), 0.15);
    EXPECT_DOUBLE_EQ(std::exp(token_gap_value(20ms)), 0.02);
    EXPECT_TRUE(std::isfinite(first_token_value(0ms, 0)));
}

}  // namespace
}  // namespace millrace::routing
