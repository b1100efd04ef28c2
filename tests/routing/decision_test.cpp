#include "routing/decision.hpp"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "routing/gate.hpp"
#include "tests/routing/support.hpp"

namespace millrace::routing {
namespace {

using namespace testing;

/// The manifest of PRODUCT.md S1.
World s1() {
    World world;
    for (const auto* name : {"vllm-gpt4", "vllm-gpt4-canary", "vllm-claude"}) {
        world.backend(name);
    }
    world.routes = {route("llm", {rule({prefix("/v1/chat/completions", {model_header("gpt-4")})},
                                       {{"vllm-gpt4", 8000, 80}, {"vllm-gpt4-canary", 8000, 20}}),
                                  rule({prefix("/v1/chat/completions", {model_header("claude-3")})},
                                       {{"vllm-claude", 8000, 1}})})};
    return world;
}

/// One model with three variants a:2, b:1, c:1.
World three_variants() {
    World world;
    for (const auto* name : {"a", "b", "c"}) {
        world.backend(name);
    }
    world.config.models = {
        model("m", {variant("a", 2, "a"), variant("b", 1, "b"), variant("c", 1, "c")})};
    return world;
}

std::map<std::string, int> tally(World& world, const RequestFacts& facts, int n) {
    std::map<std::string, int> counts;
    for (int i = 0; i < n; ++i) {
        ++counts[outcome(world.ask(facts))];
    }
    return counts;
}

TEST(Decision, ServesTheManifestOfS1) {
    auto world = s1();
    world.publish();
    const auto counts = tally(world, chat("gpt-4"), 100'000);
    EXPECT_EQ(counts.at("vllm-gpt4"), 80'000);
    EXPECT_EQ(counts.at("vllm-gpt4-canary"), 20'000);
    EXPECT_EQ(outcome(world.ask(chat("", "claude-3"))), "vllm-claude");
    EXPECT_EQ(outcome(world.ask(chat("gpt-5"))), "model_not_found");
    EXPECT_EQ(outcome(world.ask(chat("gpt-4", "claude-3"))), "model_mismatch");
    const auto decision = world.ask(chat("gpt-4"));
    EXPECT_EQ(decision->model_id, "gpt-4");
    EXPECT_EQ(decision->served_name, "gpt-4");
}

TEST(Decision, IsExactOverAllThreads) {
    auto world = s1();
    world.publish();
    std::vector<int> canary(4);
    {
        std::vector<std::jthread> threads;
        for (auto& own : canary) {
            threads.emplace_back([&] {
                EndpointView view;
                Random random(3);
                for (int i = 0; i < 5000; ++i) {
                    const auto decision = decide(chat("gpt-4"), *world.catalog, view, random);
                    own += outcome(decision) == "vllm-gpt4-canary" ? 1 : 0;
                }
            });
        }
    }
    EXPECT_EQ(canary[0] + canary[1] + canary[2] + canary[3], 4000);
}

TEST(Decision, SendsTheServedNameOfTheVariant) {
    World world;
    world.backend("v2");
    world.config.models = {
        model("llama", {variant("canary", 1, "v2", "llama-ft2")}, {"gpt-4o-mini"})};
    world.publish();
    const auto decision = world.ask(chat("", "gpt-4o-mini"));
    ASSERT_TRUE(decision);
    EXPECT_EQ(decision->model_id, "llama");
    EXPECT_EQ(decision->served_name, "llama-ft2");
    EXPECT_EQ(decision->target->variant, "canary");
}

TEST(Decision, AllWeightsZeroIsRefusedAndNeverFallsThrough) {
    auto world = s1();
    for (auto& backend : world.routes[0].rules[0].backends) {
        backend.weight = 0;
    }
    world.config.models = {model("gpt-4", {variant("own", 1, "vllm-claude")})};
    world.routes.push_back(route("rest", {rule({prefix("/")}, {{"vllm-claude", 1, 1}})}));
    world.publish();
    EXPECT_EQ(outcome(world.ask(chat("gpt-4"))), "zero_weight");
}

TEST(Decision, AnUnresolvedBackendFailsItsShareOnly) {
    auto world = s1();
    world.config.backends.erase("vllm-gpt4-canary");
    world.publish();
    const auto counts = tally(world, chat("gpt-4"), 1000);
    EXPECT_EQ(counts.at("vllm-gpt4"), 800);
    EXPECT_EQ(counts.at("unresolved_backend"), 200);
}

TEST(Decision, ARuleWithoutBackendsIsAnError) {
    auto world = s1();
    world.routes[0].rules[0].backends.clear();
    world.publish();
    EXPECT_EQ(outcome(world.ask(chat("gpt-4"))), "unresolved_backend");
}

const Selection kAnyEndpoint;

class SilentTicket final : public Ticket {
public:
    SilentTicket() : Ticket(WaitOrder{}, kAnyEndpoint) {}
    void wake() noexcept override {}
};

TEST(Decision, RedrawsTheShareOfAnUnreadyVariantAmongItsSiblings) {
    auto world = three_variants();
    world.publish();
    world.state->pools.find("b")->update({});
    auto counts = tally(world, chat("m"), 12'000);
    EXPECT_EQ(counts.count("b"), 0U);
    EXPECT_NEAR(counts["a"], 8000, 200);  // 6000 of its own, two thirds of 3000
    EXPECT_NEAR(counts["c"], 4000, 200);
    world.state->pools.find("a")->set_draining(true);
    EXPECT_EQ(tally(world, chat("m"), 100)["c"], 100);
    world.state->pools.find("c")->set_draining(true);
    EXPECT_EQ(tally(world, chat("m"), 8)["b"], 2);  // nobody is ready: each waits for its own
    world.state->pools.find("a")->set_draining(false);
    EXPECT_EQ(tally(world, chat("m"), 10)["a"], 10);
}

TEST(Decision, NeverRedrawsToAVariantWithoutWeightOrBackend) {
    auto world = three_variants();
    world.config.models[0].variants[1].weight = 0;
    world.config.models[0].variants[2].backend = "absent";
    world.publish();
    world.state->pools.find("a")->update({});
    const auto counts = tally(world, chat("m"), 300);
    EXPECT_EQ(counts.at("a"), 200);  // and waits
    EXPECT_EQ(counts.at("unresolved_backend"), 100);
}

TEST(Decision, AnUnavailableVariantIsRefusedWhenTheModelSaysSo) {
    auto world = three_variants();
    world.config.models[0].unready = config::Unready::unavailable;
    world.publish();
    world.state->pools.find("b")->update({});
    const auto counts = tally(world, chat("m"), 400);
    EXPECT_EQ(counts.at("no_ready_endpoint"), 100);
    EXPECT_EQ(counts.at("a"), 200);
}

TEST(Decision, KeepsStickyKeysOnTheirVariant) {
    auto world = three_variants();
    world.config.models[0].sticky.header = "X-User";
    world.publish();
    std::map<std::string, int> counts;
    std::map<std::string, std::string> home;
    for (int i = 0; i < 2000; ++i) {
        const auto user = "user-" + std::to_string(i);
        const std::vector<HeaderField> fields = {{"x-user", user}};
        auto facts = chat("m");
        facts.headers = fields;
        home[user] = outcome(world.ask(facts));
        ++counts[home[user]];
        EXPECT_EQ(outcome(world.ask(facts)), home[user]);
    }
    EXPECT_NEAR(counts["a"], 1000, 100);
    // While b is away its keys go elsewhere, always to the same place; the others stay.
    world.state->pools.find("b")->update({});
    for (const auto& [user, where] : home) {
        const std::vector<HeaderField> fields = {{"x-user", user}};
        auto facts = chat("m");
        facts.headers = fields;
        const auto first = outcome(world.ask(facts));
        EXPECT_EQ(outcome(world.ask(facts)), first);
        EXPECT_TRUE(where == "b" ? first != "b" : first == where);
    }
}

TEST(Decision, SticksToTheApiKeyAndToTicketsWithoutOne) {
    auto world = three_variants();
    world.config.models[0].sticky.api_key = true;
    world.publish();
    auto facts = chat("m");
    facts.key_id = "key-1";
    EXPECT_EQ(tally(world, facts, 100).size(), 1U);
    EXPECT_EQ(tally(world, chat("m"), 4).size(), 3U);
}

TEST(Decision, DoesNotRewriteItsWayToAControlEndpoint) {
    World world;
    world.backend("b");
    auto source = rule({prefix("/engine")}, {{"b", 1, 1}});
    source.rewrite = config::UrlRewrite{"", std::nullopt, "/"};
    world.routes = {route("r", {source})};
    world.publish();
    EXPECT_EQ(outcome(world.ask(get("/engine/tokenize"))), "b");
    EXPECT_EQ(outcome(world.ask(get("/engine/sleep"))), "path_not_found");
    EXPECT_EQ(outcome(world.ask(get("/engine/%73leep/"))), "path_not_found");
}

TEST(PickEndpoint, LeasesFromTheDecidedPool) {
    auto world = s1();
    world.publish();
    const auto pool = world.state->pools.find("vllm-claude");
    pool->update({{"10.0.0.1", 8000, false, ""}, {"10.0.0.2", 8000, false, ""}});
    const auto decision = world.ask(chat("claude-3"));
    ASSERT_TRUE(decision);
    auto first = pick_endpoint(*decision, kAnyEndpoint, world.view, world.random);
    ASSERT_TRUE(first);
    EXPECT_EQ(pool->counts().in_flight, 1U);
    auto second = pick_endpoint(*decision, {.avoid = first.lease.get()}, world.view, world.random);
    EXPECT_NE(second.lease.get(), first.lease.get());
    first.lease.release();
    second.lease.release();
    EXPECT_EQ(pool->counts().in_flight, 0U);
    pool->set_draining(true);  // between the decision and the pick
    EXPECT_FALSE(pick_endpoint(*decision, kAnyEndpoint, world.view, world.random));
}

TEST(PickEndpoint, LeavesSlotsToThoseWhoWaitAlready) {
    auto world = s1();
    world.publish();
    const auto pool = world.state->pools.find("vllm-claude");
    pool->update({{"10.0.0.1", 8000, false, ""}});
    pool->set_limits({1, {}, {}});
    const auto decision = world.ask(chat("claude-3"));
    auto taken = pick_endpoint(*decision, kAnyEndpoint, world.view, world.random);
    ASSERT_TRUE(taken);
    EXPECT_FALSE(pick_endpoint(*decision, kAnyEndpoint, world.view, world.random))
        << "one slot, taken";

    const auto waiter = std::make_shared<SilentTicket>();
    ASSERT_EQ(pool->gate().enter(waiter), Gate::Entered::waiting);
    pool->set_limits({2, {}, {}});
    EXPECT_FALSE(pick_endpoint(*decision, kAnyEndpoint, world.view, world.random))
        << "the new slot went to the one who waited";
    EXPECT_EQ(pool->gate().leave(*waiter).state, Ticket::State::granted);
    taken.lease.release();
}

TEST(Decision, HoldsTheShareOfAnUnreadyVariantWhenTheModelSaysSo) {
    auto world = three_variants();
    world.config.models[0].unready = config::Unready::hold;
    world.publish();
    world.state->pools.find("b")->update({});
    EXPECT_EQ(tally(world, chat("m"), 400)["b"], 100);
}

TEST(Decision, ExplainsEveryStep) {
    auto world = three_variants();
    world.publish();
    world.state->pools.find("a")->update({});
    world.state->pools.find("b")->set_draining(true);
    Trace trace;
    const auto decision = world.ask(chat("m"), &trace);
    ASSERT_TRUE(decision);
    const auto taken = pick_endpoint(*decision, kAnyEndpoint, world.view, world.random, &trace);
    ASSERT_TRUE(taken);
    const auto& url = taken.lease->url;
    const std::vector<std::string> expected = {
        "The header x-model-id names \"m\": model \"m\".",
        "The variants of model \"m\" apply.",
        "Weights: a 2, b 1, c 1. Variant a by ticket 0.",
        "Variant a has no ready endpoint; its share goes to c.",
        "Endpoint " + url + ": 0 in flight.",
        "Endpoint " + url + " is taken: no other has room.",
    };
    EXPECT_EQ(trace.lines(), expected);
}

}  // namespace
}  // namespace millrace::routing
