#include "routing/rollout_traffic.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tests/routing/support.hpp"

namespace millrace::routing {
namespace {

using namespace testing;

const RolloutNames kNames{"m", "stable", "canary", "b"};

/// Canary listed first, with weights that a rollout must not look at.
World with_rollout() {
    World world;
    world.backend("a");
    world.backend("b");
    auto rolled = model("m", {variant("canary", 900, "b"), variant("stable", 100, "a")});
    rolled.rollout.emplace().canary = "canary";
    rolled.rollout->steps = {5, 100};
    world.config.models = {std::move(rolled)};
    return world;
}

RolloutTraffic& traffic_of(const World& world, std::string_view name = "m") {
    return *world.catalog->find(chat(name))->rule->rollout;
}

int canaries(World& world, int n) {
    int count = 0;
    for (int i = 0; i < n; ++i) {
        count += outcome(world.ask(chat("m"))) == "b" ? 1 : 0;
    }
    return count;
}

TEST(RolloutTraffic, GivesTheCanaryItsShareOfEveryHundredTickets) {
    auto world = with_rollout();
    world.publish();
    EXPECT_EQ(canaries(world, 100), 5) << "the first step, until a rollout says otherwise";
    auto& traffic = traffic_of(world);
    for (std::uint32_t weight = 0; weight <= 100; ++weight) {
        traffic.publish(weight);
        EXPECT_EQ(canaries(world, 100), static_cast<int>(weight));
    }
}

TEST(RolloutTraffic, MovesStickyKeysTowardsTheArmThatGrows) {
    auto world = with_rollout();
    world.config.models[0].sticky.api_key = true;
    world.publish();
    std::vector<std::string> before(500, "a");
    int moved = 0;
    for (const std::uint32_t weight : {1U, 5U, 20U, 50U, 100U}) {
        traffic_of(world).publish(weight);
        for (std::size_t key = 0; key < before.size(); ++key) {
            const auto id = "key" + std::to_string(key);
            auto facts = chat("m");
            facts.key_id = id;
            const auto now = outcome(world.ask(facts));
            EXPECT_FALSE(before[key] == "b" && now == "a") << id << " went back";
            moved += before[key] != now ? 1 : 0;
            before[key] = now;
        }
    }
    EXPECT_EQ(moved, 500);
}

TEST(RolloutTraffic, SurvivesAReloadAndDecidesRoutesBetweenTheSameVariants) {
    auto world = with_rollout();
    world.routes = {
        route("r", {rule({prefix("/v1/chat/completions", {model_header("m")})},
                         {{"b", 8000, 50}, {"a", 8000, 50}}),
                    rule({prefix("/v1/completions", {model_header("m")})}, {{"b", 8000, 1}})})};
    world.publish();
    auto* const before = &traffic_of(world);
    before->publish(20);
    EXPECT_EQ(canaries(world, 100), 20);
    auto other = chat("m");
    other.path = "/v1/completions";
    EXPECT_EQ(outcome(world.ask(other)), "b") << "a rule with other targets keeps its own";
    const auto old = world.catalog;
    world.publish();
    EXPECT_EQ(&traffic_of(world), before);
    world.config.models[0].variants[0].served_name = "v3";
    world.publish();
    EXPECT_NE(&traffic_of(world), before) << "another revision is another rollout";
}

TEST(RolloutTraffic, IsExplained) {
    auto world = with_rollout();
    world.publish();
    Trace trace;
    ASSERT_TRUE(world.ask(chat("m"), &trace));
    std::string text;
    for (const auto& line : trace.lines()) {
        text += line + "\n";
    }
    EXPECT_NE(text.find("the configured weights do not count: its canary gets 5 %"),
              std::string::npos)
        << text;
}

TEST(RolloutTraffic, TheOtherArmServesWhatAnUnreadyCanaryWouldGet) {
    auto world = with_rollout();
    world.publish();
    traffic_of(world).publish(50);
    world.state->pools.find("b")->update({});
    EXPECT_EQ(canaries(world, 100), 0);
    traffic_of(world).publish(0);
    world.state->pools.find("a")->update({});
    world.state->pools.find("b")->update({{"10.0.0.9", 8000, false, ""}});
    EXPECT_EQ(canaries(world, 100), 0) << "one that was taken back gets nothing at all";
}

TEST(RolloutTraffic, SumsWhatEveryWorkerSaw) {
    RolloutTraffic traffic(kNames, 1, 3);
    traffic.observe(0, RolloutArm::canary,
                    {.failed = true, .first_token = {}, .token_gap = {}, .cost = {}});
    traffic.observe(2, RolloutArm::canary,
                    {.failed = false, .first_token = 2, .token_gap = -3, .cost = -5});
    traffic.observe(1, RolloutArm::stable,
                    {.failed = false, .first_token = 1, .token_gap = {}, .cost = {}});
    const auto canary = traffic.totals(RolloutArm::canary);
    EXPECT_EQ(canary.requests, 2U);
    EXPECT_EQ(canary.errors, 1U);
    EXPECT_EQ(canary.first_token, (Moments{1, 2, 4}));
    EXPECT_EQ(canary.token_gap, (Moments{1, -3, 9}));
    EXPECT_EQ(canary.cost, (Moments{1, -5, 25}));
    EXPECT_EQ(traffic.totals(RolloutArm::stable).requests, 1U);
}

TEST(RolloutTraffic, NeverShowsHalfAnObservation) {
    RolloutTraffic traffic(kNames, 1, 2);
    std::atomic<int> running{2};
    std::vector<std::jthread> writers;
    for (std::size_t worker = 0; worker < 2; ++worker) {
        writers.emplace_back([&, worker] {
            for (int i = 0; i < 50'000; ++i) {
                traffic.observe(worker, RolloutArm::canary,
                                {.failed = true, .first_token = 2, .token_gap = 4, .cost = -8});
            }
            --running;
        });
    }
    while (running > 0) {
        const auto totals = traffic.totals(RolloutArm::canary);
        ASSERT_EQ(totals.errors, totals.requests);
        ASSERT_EQ(totals.first_token.count, totals.requests);
        ASSERT_EQ(totals.first_token.sum, 2.0 * static_cast<double>(totals.requests));
        ASSERT_EQ(totals.token_gap.sum_squares, 16.0 * static_cast<double>(totals.requests));
        ASSERT_EQ(totals.cost.sum, -8.0 * static_cast<double>(totals.requests));
    }
    writers.clear();
    EXPECT_EQ(traffic.totals(RolloutArm::canary).requests, 100'000U);
}

}  // namespace
}  // namespace millrace::routing
