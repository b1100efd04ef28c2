// What a person may order of a rollout, and the sentence that they read.
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "routing/rollout.hpp"

namespace millrace::routing {
namespace {

using namespace std::chrono_literals;
using Command = RolloutCommand;
using Phase = RolloutPhase;

constexpr Command kCommands[] = {Command::start, Command::pause, Command::resume, Command::promote,
                                 Command::abort};

const RolloutNames& names() {
    static const RolloutNames kNames{"chat", "v1", "v2", "llama-v2 as llama-ft2"};
    return kNames;
}

/// A rollout as it is found in that state.
Rollout in(const RolloutState& state, const RolloutPolicy& policy = {}) {
    auto restored = Rollout::restore(policy, names(), to_json(state, names().identity()));
    EXPECT_EQ(restored.note, "");
    return std::move(restored.rollout);
}

RolloutState state_of(Phase phase) {
    RolloutState state;
    state.phase = phase;
    state.stable_requests = 900;
    state.canary_requests = 100;
    switch (phase) {
        case Phase::running:
        case Phase::paused: state.weight = 5; break;
        case Phase::promoted: state.weight = 100; break;
        default: break;
    }
    return state;
}

TEST(RolloutCommand, IsFoundByItsWord) {
    for (const auto command : kCommands) {
        EXPECT_EQ(rollout_command(to_string(command)), command);
    }
    for (const auto* word : {"", "Start", "starts", "stop", "start "}) {
        EXPECT_EQ(rollout_command(word), std::nullopt) << word;
    }
}

TEST(RolloutCommand, IsObeyedOnlyWhereThePhaseAllowsIt) {
    const std::pair<Phase, std::string> cases[] = {
        {Phase::waiting, "start promote abort"}, {Phase::running, "pause promote abort"},
        {Phase::paused, "resume promote abort"}, {Phase::promoted, "abort"},
        {Phase::rolled_back, "start promote"},   {Phase::aborted, "start promote"},
    };
    for (const auto& [phase, expected] : cases) {
        std::string allowed;
        for (const auto command : kCommands) {
            auto rollout = in(state_of(phase));
            const auto before = rollout.state();
            const auto obeyed = rollout.command(command);
            if (obeyed) {
                allowed += (allowed.empty() ? "" : " ") + std::string(to_string(command));
            } else {
                EXPECT_EQ(obeyed.error(), "cannot " + std::string(to_string(command)) +
                                              " a rollout that is " +
                                              std::string(to_string(phase)));
                EXPECT_EQ(rollout.state(), before) << "nothing has changed";
            }
        }
        EXPECT_EQ(allowed, expected) << to_string(phase);
    }
}

TEST(RolloutCommand, StartBeginsAtTheFirstStepWithoutWhatWasCounted) {
    for (const auto phase : {Phase::waiting, Phase::rolled_back, Phase::aborted}) {
        auto state = state_of(phase);
        state.reason = "some reason";
        state.in_step = 5min;
        RolloutPolicy policy;
        policy.steps = {7, 100};
        auto rollout = in(state, policy);
        ASSERT_TRUE(rollout.command(Command::start));
        EXPECT_EQ(rollout.phase(), Phase::running);
        EXPECT_EQ(rollout.weight(), 7U);
        EXPECT_EQ(rollout.state().stable_requests, 0U);
        EXPECT_EQ(rollout.state().canary_requests, 0U);
        EXPECT_EQ(rollout.state().in_step, 0s);
        EXPECT_EQ(rollout.state().reason, "");
    }
}

TEST(RolloutCommand, PauseKeepsTheShareAndResumeGoesOnWithIt) {
    auto state = state_of(Phase::running);
    state.in_step = 3min;
    auto& evidence = state.evidence[0];
    evidence.canary_count = 8;
    evidence.stable_inverse = 1;
    evidence.canary_freedom = evidence.stable_freedom = 7;
    auto rollout = in(state);
    ASSERT_TRUE(rollout.command(Command::pause));
    EXPECT_EQ(rollout.phase(), Phase::paused);
    EXPECT_EQ(rollout.weight(), 5U);
    EXPECT_EQ(rollout.state().reason, "by hand");
    ASSERT_TRUE(rollout.command(Command::resume));
    EXPECT_EQ(rollout.phase(), Phase::running);
    EXPECT_EQ(rollout.weight(), 5U);
    EXPECT_EQ(rollout.state().reason, "");
    EXPECT_EQ(rollout.state().in_step, 3min) << "the step is the same one";
    EXPECT_EQ(rollout.state().evidence, state.evidence);
    EXPECT_EQ(rollout.state().canary_requests, 100U);
}

TEST(RolloutCommand, PromoteGivesEverythingAndAbortNothing) {
    for (const auto phase : {Phase::waiting, Phase::running, Phase::paused}) {
        auto rollout = in(state_of(phase));
        ASSERT_TRUE(rollout.command(Command::promote));
        EXPECT_EQ(rollout.phase(), Phase::promoted);
        EXPECT_EQ(rollout.weight(), 100U);
        EXPECT_EQ(rollout.state().reason, "by hand");
        ASSERT_TRUE(rollout.command(Command::abort));
        EXPECT_EQ(rollout.phase(), Phase::aborted);
        EXPECT_EQ(rollout.weight(), 0U);
        EXPECT_EQ(rollout.state().reason, "by hand");
    }
}

// The sentence.

std::string sentence(Phase phase, std::string reason = {}, Duration in_step = {},
                     const RolloutPolicy& policy = {}) {
    auto state = state_of(phase);
    state.reason = std::move(reason);
    state.in_step = in_step;
    return in(state, policy).explain();
}

TEST(RolloutSentence, SaysWhatBecameOfTheCanaryAndWhy) {
    EXPECT_EQ(sentence(Phase::waiting),
              "canary v2 of model chat waits to be started; v1 gets everything");
    EXPECT_EQ(sentence(Phase::promoted, "by hand"), "canary v2 of model chat is promoted: by hand");
    EXPECT_EQ(sentence(Phase::rolled_back, "too slow"),
              "canary v2 of model chat is rolled back: too slow");
    EXPECT_EQ(sentence(Phase::aborted, "by hand"), "canary v2 of model chat is aborted: by hand");
}

TEST(RolloutSentence, SaysWhereItRuns) {
    EXPECT_EQ(sentence(Phase::running, "", 12min),
              "canary v2 of model chat gets 5 % (step 2 of 5, 12 min): error rate not yet "
              "comparable is undecided");
    EXPECT_EQ(sentence(Phase::paused, "by hand", 8s),
              "canary v2 of model chat gets 5 % (step 2 of 5, 8 s), paused by hand: error rate not "
              "yet comparable is undecided");
}

TEST(RolloutSentence, SaysThatItIsHeld) {
    RolloutPolicy policy;
    policy.max_step_time = 36h;
    const auto held = "held: too little evidence for longer than 36 h";
    EXPECT_NE(sentence(Phase::running, "", 36h, policy).find(held), std::string::npos);
    EXPECT_EQ(sentence(Phase::running, "", 35h, policy).find("held"), std::string::npos);
    EXPECT_NE(sentence(Phase::paused, "by hand", 36h, policy).find("paused by hand"),
              std::string::npos)
        << "who paused it knows why it stays";
    EXPECT_EQ(sentence(Phase::paused, "by hand", 36h, policy).find("held"), std::string::npos);
}

TEST(RolloutSentence, NamesEachMeasureThatAStepNeeds) {
    RolloutPolicy policy;
    policy.error_rate = {0.01, 0.5};
    policy.first_token = Margin{0.05, 0.06};
    policy.token_gap.reset();
    policy.cost.reset();
    auto rollout = Rollout(policy, names());
    ArmTotals stable;
    ArmTotals canary;
    Instant now{};
    rollout.advance(stable, canary, now);
    ASSERT_TRUE(rollout.command(Command::start));
    for (int i = 0; i < 60; ++i) {
        stable.requests += 1;
        canary.requests += 1;
        stable.first_token.add(first_token_value(i % 2 == 0 ? 80ms : 120ms, 1000));
        canary.first_token.add(first_token_value(i % 2 == 0 ? 80ms : 120ms, 1000));
    }
    rollout.advance(stable, canary, now + 10s);
    EXPECT_EQ(rollout.explain(),
              "canary v2 of model chat gets 1 % (step 1 of 5, 10 s): error rate 0 % against 0 % "
              "(n = 60 and 60) is short of harm; first token 98 ms against 98 ms (+0 %, n = 60 and "
              "60) is undecided");
}

}  // namespace
}  // namespace millrace::routing
