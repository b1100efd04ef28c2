#include "routing/rollout_state.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <utility>

namespace millrace::routing {
namespace {

constexpr std::string_view kIdentity = "model chat, stable to canary (v2)";

RolloutState some_state() {
    RolloutState state{.phase = RolloutPhase::running,
                       .weight = 5,
                       .in_step = std::chrono::nanoseconds(123'456'789'012'345'678),
                       .stable_requests = 18'000'000'000'000'000'000U,
                       .canary_requests = 7,
                       .reason = "a \"reason\"",
                       .evidence = {}};
    for (auto& arms : state.evidence) {
        arms.add({100, -12.345, 67.1}, {9, 0.1 + 0.2, 1.0 / 3});
        arms.add({3, 1.5, 0.75}, {});
    }
    return state;
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
    const auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
}

std::string refusal(const std::string& text, std::string_view identity = kIdentity) {
    const auto state = rollout_state_from_json(text, identity);
    return state ? "accepted" : state.error();
}

TEST(RolloutState, ComesBackAsItWas) {
    const auto state = some_state();
    const auto back = rollout_state_from_json(to_json(state, kIdentity), kIdentity);
    ASSERT_TRUE(back) << back.error();
    EXPECT_EQ(*back, state);
    EXPECT_EQ(rollout_state_from_json(to_json({}, kIdentity), kIdentity), RolloutState{});
}

TEST(RolloutState, IsRefusedWithAReason) {
    const auto text = to_json(some_state(), kIdentity);
    EXPECT_EQ(refusal(""), "the stored rollout is not JSON");
    EXPECT_EQ(refusal("[1]"), "the stored rollout is not JSON");
    EXPECT_EQ(refusal(text.substr(0, text.size() / 2)), "the stored rollout is not JSON");
    EXPECT_EQ(refusal(replaced(text, "\"version\": 1", "\"version\": 2")),
              "the stored rollout has version 2, this release reads 1");
    EXPECT_EQ(refusal(text, "model b"),
              "the stored rollout is of model chat, stable to canary (v2), not of model b");
}

TEST(RolloutState, IsRefusedWithImpossibleValues) {
    const auto text = to_json(some_state(), kIdentity);
    const std::pair<const char*, const char*> kEdits[] = {
        {"\"running\"", "\"walking\""},
        {"\"running\"", "3"},
        {"\"running\"", "\"promoted\""},
        {"\"weight\": 5", "\"weight\": 100"},
        {"\"weight\": 5", "\"weight\": -5"},
        {"\"weight\": 5", "\"weight\": 4294967301"},
        {"\"step_nanoseconds\": 123456789012345678", "\"step_nanoseconds\": 9223372036854775807"},
        {"\"canary_requests\": 7", "\"canary_requests\": 7.5"},
        {"\"canary_count\": 9.0", "\"canary_count\": \"9\""},
        {"\"canary_count\": 9.0", "\"canary_count\": -9.0"},
        {"\"canary_count\": 9.0", "\"canary_count\": 0"},
        {"\"stable_freedom\": 99.0", "\"stable_freedom\": null"},
        {"\"token_gap\"", "\"token_map\""},
        {"\"reason\"", "\"season\""},
    };
    for (const auto& [from, to] : kEdits) {
        EXPECT_EQ(refusal(replaced(text, from, to)),
                  "the stored rollout has missing or impossible values")
            << from << " as " << to;
    }
}

TEST(RolloutState, SurvivesPrefixesAndFlippedBytes) {
    const auto text = to_json(some_state(), kIdentity);
    for (std::size_t i = 0; i < text.size(); i += 7) {
        EXPECT_FALSE(rollout_state_from_json(text.substr(0, i), kIdentity));
        auto flipped = text;
        flipped[i] = static_cast<char>(flipped[i] ^ 0x11);
        if (const auto state = rollout_state_from_json(flipped, kIdentity)) {
            EXPECT_LE(state->weight, 100U);
            EXPECT_TRUE(state->evidence[0].plausible());
        }
    }
}

TEST(RolloutState, NamesPhasesAndMeasures) {
    EXPECT_EQ(to_string(RolloutPhase::rolled_back), "rolled_back");
    EXPECT_EQ(to_string(Measure::token_gap), "token_gap");
}

}  // namespace
}  // namespace millrace::routing
