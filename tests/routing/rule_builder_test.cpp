#include "routing/rule_builder.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "tests/routing/support.hpp"

namespace millrace::routing {
namespace {

using namespace testing;

/// Model `m` with variants on the backends `b1` and `b2`.
class RuleBuilderTest : public ::testing::Test {
protected:
    RuleBuilderTest() {
        config.backends["b1"].kubernetes_namespace = "ai";
        config.backends["b2"];
        config.models = {model("m", {variant("v1", 3, "b1", "m-ft"), variant("v2", 1, "b2")})};
    }

    config::Model& settings() { return config.models.front(); }
    Rule of_model() { return RuleBuilder(config, state, metrics).of_model({"m", &settings()}); }
    Rule of_route(const config::HttpRouteRule& manifest, const KnownModel* known) {
        return RuleBuilder(config, state, metrics)
            .of_route(route("r", {}), manifest, known, state.tickets.acquire("r"));
    }

    config::Config config;
    RoutingState state;
    FakeInterner metrics;
};

TEST_F(RuleBuilderTest, AModelsRuleHasItsVariants) {
    const auto rule = of_model();
    ASSERT_EQ(rule.targets.size(), 2U);
    EXPECT_EQ(rule.targets[0].served_name, "m-ft");
    EXPECT_EQ(rule.targets[0].weight, 3U);
    EXPECT_EQ(rule.targets[0].backend, &config.backends.at("b1"));
    EXPECT_EQ(rule.targets[0].pool, state.pools.acquire("b1"));
    EXPECT_EQ(rule.targets[1].served_name, "m");
    EXPECT_EQ(rule.tickets, state.tickets.acquire("model m"));
    EXPECT_NE(rule.retries, nullptr);
    EXPECT_TRUE(metrics.variants.contains("m|v1|b1|models|ai"));
    EXPECT_TRUE(metrics.variants.contains("m|v2|b2|models|"));
}

TEST_F(RuleBuilderTest, TakesTheManifestsTimeouts) {
    auto manifest = rule({}, {{"b1", 8000, 80}, {"b2", 8000, 20}});
    manifest.request_timeout = std::chrono::seconds(30);
    manifest.backend_request_timeout = std::chrono::seconds(10);
    const auto rule = of_route(manifest, nullptr);
    EXPECT_EQ(rule.request_timeout, std::chrono::seconds(30));
    EXPECT_EQ(rule.backend_request_timeout, std::chrono::seconds(10));
    EXPECT_EQ(rule.manifest, &manifest);
}

TEST_F(RuleBuilderTest, ABackendRefThatNamesNothingHasNoPool) {
    const auto manifest = rule({}, {{"b1", 8000, 1}, {"gone", 8000, 1}});
    const auto rule = of_route(manifest, nullptr);
    EXPECT_NE(rule.targets[0].pool, nullptr);
    EXPECT_EQ(rule.targets[1].pool, nullptr);
    EXPECT_EQ(rule.targets[1].backend, nullptr);
    EXPECT_TRUE(metrics.variants.contains("unknown|gone|gone|default/r|"));
}

TEST_F(RuleBuilderTest, ReplacesAPrefixUnlessTheWholePathIsReplaced) {
    auto manifest = rule({}, {{"b1", 8000, 1}});
    EXPECT_FALSE(of_route(manifest, nullptr).replaces_prefix);
    manifest.rewrite.emplace().replace_prefix_match = "/v1";
    EXPECT_TRUE(of_route(manifest, nullptr).replaces_prefix);
    manifest.rewrite->replace_full_path = "/v1/completions";
    EXPECT_FALSE(of_route(manifest, nullptr).replaces_prefix);
}

TEST_F(RuleBuilderTest, HasAPolicyOnlyWithAPicker) {
    EXPECT_FALSE(of_model().policy);
    settings().picker.by = {config::Affinity::prefix, config::Affinity::load};
    settings().picker.guard_percent = 120;
    const auto rule = of_model();
    ASSERT_TRUE(rule.policy);
    EXPECT_EQ(rule.policy->stages, (std::vector{Stage::prefix_affinity, Stage::load_aware}));
    EXPECT_DOUBLE_EQ(rule.policy->guard, 1.2);
}

TEST_F(RuleBuilderTest, ARolloutDecidesTheSharesOfItsTwoVariants) {
    settings().rollout.emplace().canary = "v1";
    const auto own = of_model();
    ASSERT_NE(own.rollout, nullptr);
    EXPECT_EQ(own.targets[0].variant, "v2");  // the stable one first, as RolloutArm counts
    EXPECT_EQ(own.targets[1].variant, "v1");
    const KnownModel known{"m", &settings()};
    const auto both = rule({}, {{"b2", 8000, 1}, {"b1", 8000, 1}});
    EXPECT_EQ(of_route(both, &known).rollout, own.rollout);
    const auto other = rule({}, {{"b1", 8000, 1}, {"gone", 8000, 1}});
    EXPECT_EQ(of_route(other, &known).rollout, nullptr);
    EXPECT_EQ(of_route(both, nullptr).rollout, nullptr);
}

TEST_F(RuleBuilderTest, HedgesAndMirrorsWhereTheModelSaysSo) {
    const auto plain = of_model();
    EXPECT_EQ(plain.hedging, nullptr);
    EXPECT_EQ(plain.mirror.pool, nullptr);
    settings().hedge.emplace();
    settings().mirror = config::Mirror{.backend = "b2", .percent = 10, .served_name = "m-next"};
    const auto rule = of_model();
    ASSERT_NE(rule.hedging, nullptr);
    EXPECT_EQ(of_model().hedging, rule.hedging) << "what was learned survives a reload";
    EXPECT_EQ(rule.mirror.pool, state.pools.acquire("b2"));
    EXPECT_EQ(rule.mirror.weight, 10U);
    EXPECT_EQ(rule.mirror.served_name, "m-next");
    EXPECT_EQ(rule.mirror.backend_metric, rule.targets[1].backend_metric);
}

TEST_F(RuleBuilderTest, MeasuresOnlyTheCandidatesOfAnAutoModel) {
    EXPECT_EQ(of_model().measure, nullptr);
    config.models.push_back(model("auto", {}));
    config.models.back().automatic.emplace().candidates = {"m"};
    const auto rule = of_model();
    ASSERT_NE(rule.measure, nullptr);
    EXPECT_EQ(rule.measure, state.measures.acquire("m"));
}

}  // namespace
}  // namespace millrace::routing
