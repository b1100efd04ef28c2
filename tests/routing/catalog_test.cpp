#include "routing/catalog.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "tests/routing/support.hpp"

namespace millrace::routing {
namespace {

using namespace testing;

/// Two models of our own, and routes for names that only routes know.
World two_models() {
    World world;
    for (const auto* name :
         {"llama", "llama-canary", "qwen", "vllm-gpt4", "vllm-gpt4-canary", "vllm-claude"}) {
        world.backend(name);
    }
    world.config.models = {
        model("llama-3-8b", {variant("stable", 1, "llama", "llama-ft")}, {"llama", "gpt-4o-mini"}),
        model("org/qwen", {variant("stable", 1, "qwen")}),
    };
    return world;
}

config::HttpRoute gpt4_route() {
    return route("gpt-4", {rule({prefix("/v1/chat/completions", {model_header("gpt-4")})},
                                {{"vllm-gpt4", 8000, 80}, {"vllm-gpt4-canary", 8000, 20}})});
}

std::string error_of(const World& world, const RequestFacts& facts) {
    const auto found = world.catalog->find(facts);
    return found ? "found" : std::string(to_string(found.error().code));
}

TEST(Catalog, ResolvesModelsAndAliases) {
    auto world = two_models();
    world.publish();
    for (const auto* name : {"llama-3-8b", "llama", "gpt-4o-mini"}) {
        for (const auto& facts : {chat(name), chat("", name), chat(name, name)}) {
            const auto found = world.catalog->find(facts);
            ASSERT_TRUE(found) << name;
            EXPECT_EQ(found->model_id, "llama-3-8b");
            EXPECT_EQ(found->rule->model->id, "llama-3-8b");
            EXPECT_EQ(found->match, nullptr);
            EXPECT_EQ(found->rule->targets[0].served_name, "llama-ft");
        }
    }
    EXPECT_EQ(world.catalog->find(chat("org/qwen"))->rule->targets[0].served_name, "org/qwen");
}

TEST(Catalog, NamesAreModelsAliasesAndExactRouteValues) {
    auto world = two_models();
    world.routes = {gpt4_route()};
    world.publish();
    for (const auto* name : {"llama-3-8b", "llama", "gpt-4o-mini", "org/qwen", "gpt-4"}) {
        EXPECT_TRUE(world.catalog->knows(name)) << name;
    }
    EXPECT_FALSE(world.catalog->knows("gpt-5"));
    std::vector<std::string> ids;
    for (const auto& known : world.catalog->models()) {
        ids.push_back(known.id);
    }
    EXPECT_EQ(ids, (std::vector<std::string>{"gpt-4", "llama-3-8b", "org/qwen"}));
}

TEST(Catalog, OnlyUnknownNamesAreNotFound) {
    auto world = two_models();
    world.routes = {gpt4_route()};
    world.publish();
    EXPECT_EQ(error_of(world, chat("gpt-5")), "model_not_found");
    EXPECT_EQ(error_of(world, chat("", "gpt-5")), "model_not_found");
    EXPECT_EQ(error_of(world, chat("GPT-4")), "model_not_found");
    EXPECT_EQ(error_of(world, chat("gpt-5", "llama")),
              "model_not_found");  // the header is the name that counts
    auto elsewhere = chat("gpt-4");
    elsewhere.path = "/v1/embeddings";
    EXPECT_EQ(error_of(world, elsewhere), "path_not_found");  // known, but no route takes this path
}

TEST(Catalog, MissingModelIsItsOwnError) {
    auto world = two_models();
    world.routes = {gpt4_route()};
    world.publish();
    EXPECT_EQ(error_of(world, chat("")), "model_missing");
    auto empty = chat("");
    empty.body_model = "";
    EXPECT_EQ(error_of(world, empty), "model_missing");
    world.routes.push_back(route("all", {rule({prefix("/v1")}, {{"qwen", 8000, 1}})}));
    world.publish();
    const auto found = world.catalog->find(chat(""));
    ASSERT_TRUE(found);
    EXPECT_EQ(found->rule->label, "default/all");
    EXPECT_EQ(found->model_id, "");
}

TEST(Catalog, HeaderAndBodyMustAgreeWhenBothAreKnown) {
    auto world = two_models();
    world.publish();
    EXPECT_EQ(error_of(world, chat("llama", "org/qwen")), "model_mismatch");
    EXPECT_EQ(error_of(world, chat("llama", "llama-3-8b")), "found");  // one model, two names
    EXPECT_EQ(error_of(world, chat("llama", "gpt-4o-mini")), "found");
    EXPECT_EQ(world.catalog->find(chat("llama", "nobody"))->model_id,
              "llama-3-8b");  // unknown body: header wins
    world.config.routes.on_model_conflict = config::ModelConflict::rewrite;
    world.publish();
    EXPECT_EQ(world.catalog->find(chat("llama", "org/qwen"))->model_id, "llama-3-8b");
}

TEST(Catalog, TriesRoutesBeforeModelsAndJoinsByModelId) {
    auto world = two_models();
    world.config.models[0].sticky.header = "x-user";
    world.config.models[0].unready = config::Unready::unavailable;
    world.routes = {route("llama", {rule({prefix("/v1", {model_header("llama-3-8b")})},
                                         {{"llama", 8000, 9}, {"llama-canary", 8000, 1}})})};
    world.publish();
    // By header, by body and by alias: the body's model counts as if it had come in x-model-id.
    for (const auto& facts :
         {chat("llama-3-8b"), chat("", "llama-3-8b"), chat("", "llama"), chat("gpt-4o-mini")}) {
        const auto found = world.catalog->find(facts);
        ASSERT_TRUE(found);
        EXPECT_EQ(found->rule->label, "default/llama");
        EXPECT_EQ(found->model_id, "llama-3-8b");
        ASSERT_EQ(found->rule->targets.size(), 2U);
        EXPECT_EQ(found->rule->targets[0].weight, 9U);
        EXPECT_EQ(found->rule->targets[0].variant,
                  "stable");  // the model's variant on this backend
        EXPECT_EQ(found->rule->targets[0].served_name, "llama-ft");
        EXPECT_EQ(found->rule->targets[1].variant, "llama-canary");
        EXPECT_EQ(found->rule->targets[1].served_name, "llama-3-8b");
        EXPECT_EQ(found->rule->sticky.header, "x-user");
        EXPECT_EQ(found->rule->unready, config::Unready::unavailable);
    }
    auto other = chat("llama");
    other.path = "/v2/other";
    EXPECT_EQ(world.catalog->find(other)->rule->label,
              "models");  // no route matches: the model's own variants
    EXPECT_EQ(world.catalog->find(chat("org/qwen"))->rule->label, "models");
}

TEST(Catalog, ARouteMayNameAnAlias) {
    auto world = two_models();
    world.routes = {
        route("alias", {rule({prefix("/", {model_header("llama")})}, {{"qwen", 1, 1}})}),
        route("id", {rule({prefix("/", {model_header("llama-3-8b")})}, {{"llama", 1, 1}})})};
    world.publish();
    EXPECT_EQ(world.catalog->find(chat("llama"))->rule->label, "default/alias");
    EXPECT_EQ(world.catalog->find(chat("llama"))->model_id, "llama-3-8b");
    EXPECT_EQ(world.catalog->find(chat("gpt-4o-mini"))->rule->label, "default/id");
    EXPECT_EQ(world.catalog->find(chat("llama-3-8b"))->rule->label, "default/id");
}

TEST(Catalog, AGeneralRouteTakesEveryModelWithItsOwnPolicyAndLabels) {
    auto world = two_models();
    world.config.models[1].sticky.api_key = true;
    world.config.backends["qwen"].kubernetes_namespace = "ai";
    world.routes = {route("all", {rule({prefix("/v1")}, {{"qwen", 8000, 1}})}), gpt4_route()};
    world.publish();
    const auto qwen = world.catalog->find(chat("org/qwen"));
    EXPECT_TRUE(qwen->rule->sticky.api_key);
    EXPECT_EQ(qwen->rule->model_id, "org/qwen");
    const auto unknown = world.catalog->find(chat("", "anything"));
    ASSERT_TRUE(unknown);
    EXPECT_EQ(unknown->model_id, "anything");
    EXPECT_EQ(unknown->rule->model, nullptr);
    EXPECT_EQ(unknown->rule->targets[0].served_name, "");
    EXPECT_EQ(unknown->rule->tickets, qwen->rule->tickets);  // one ticket per route rule
    EXPECT_NE(unknown->rule->targets[0].variant_metric, qwen->rule->targets[0].variant_metric);
    EXPECT_EQ(unknown->rule->targets[0].backend_metric, qwen->rule->targets[0].backend_metric);
    EXPECT_TRUE(world.metrics->variants.contains("unknown|qwen|qwen|default/all|ai"));
    EXPECT_TRUE(world.metrics->variants.contains("org/qwen|stable|qwen|default/all|ai"));
    EXPECT_TRUE(world.metrics->variants.contains("gpt-4|vllm-gpt4|vllm-gpt4|default/gpt-4|"));
    auto embeddings = chat("gpt-4");
    embeddings.path = "/v1/embeddings";  // known by the other route, taken by the general one
    EXPECT_EQ(world.catalog->find(embeddings)->rule->label, "default/all");
    EXPECT_EQ(world.catalog->find(embeddings)->rule->model_id, "gpt-4");
}

TEST(Catalog, PathsOutsideTheApiNeedARoute) {
    auto world = two_models();
    world.publish();
    auto tokenize = get("/tokenize");
    EXPECT_EQ(error_of(world, tokenize), "path_not_found");
    tokenize.header_model = "llama";
    EXPECT_EQ(error_of(world, tokenize), "path_not_found");  // a model alone opens no path
    world.routes = {route("tokenize", {rule({exact("/tokenize")}, {{"llama", 8000, 1}})})};
    world.publish();
    EXPECT_EQ(world.catalog->find(tokenize)->rule->label, "default/tokenize");
    EXPECT_EQ(error_of(world, get("/detokenize")), "path_not_found");
}

TEST(Catalog, ControlEndpointsNeedAnExactPath) {
    auto world = two_models();
    world.routes = {route("all", {rule({prefix("/")}, {{"llama", 8000, 1}})})};
    world.publish();
    EXPECT_EQ(error_of(world, get("/anything")), "found");
    for (const auto* path : {"/sleep", "/%73leep", "/sleep/", "//sleep", "/v1/load_lora_adapter"}) {
        EXPECT_EQ(error_of(world, get(path)), "path_not_found") << path;
    }
    world.routes.push_back(route("sleep", {rule({exact("/sleep")}, {{"llama", 8000, 1}})}));
    world.publish();
    EXPECT_EQ(world.catalog->find(get("/sleep"))->rule->label, "default/sleep");
    EXPECT_EQ(error_of(world, get("/%73leep")), "path_not_found");
}

TEST(Catalog, SurvivesReloadsWithPoolsTicketsAndGenerations) {
    auto world = two_models();
    world.routes = {gpt4_route()};
    world.publish();
    const auto before = world.catalog;
    const auto* old_target = &before->find(chat("gpt-4"))->rule->targets[0];
    const auto generation = old_target->pool->snapshot()->endpoints[0]->generation;
    const EndpointLease lease(old_target->pool->snapshot()->endpoints[0]);
    before->find(chat("gpt-4"))->rule->tickets->next();
    world.routes[0].rules[0].backends[1].weight = 30;
    world.publish();
    const auto found = world.catalog->find(chat("gpt-4"));
    EXPECT_EQ(found->rule->targets[1].weight, 30U);
    EXPECT_EQ(found->rule->targets[0].pool, old_target->pool);
    EXPECT_EQ(found->rule->targets[0].pool->snapshot()->endpoints[0]->generation, generation);
    EXPECT_EQ(found->rule->targets[0].pool->counts().in_flight, 1U);
    EXPECT_EQ(found->rule->tickets->next(), 1U);
    EXPECT_EQ(found->rule->targets[0].variant_metric, old_target->variant_metric);
}

TEST(Catalog, ForgetsPoolsThatNobodyNames) {
    auto world = two_models();
    world.publish();
    EXPECT_NE(world.state->pools.find("qwen"), nullptr);
    world.config.models.pop_back();
    world.publish();
    EXPECT_EQ(world.state->pools.find("qwen"), nullptr);
}

TEST(Catalog, LooksUpTenThousandModelsWithoutScanning) {
    World world;
    for (int i = 0; i < 10'000; ++i) {
        const auto name = "m" + std::to_string(i);
        world.backend("b");
        world.routes.push_back(
            route(name, {rule({prefix("/v1", {model_header(name)})}, {{"b", 1, 1}})}));
    }
    world.publish();
    EXPECT_TRUE(world.catalog->routes().general().empty());
    for (const auto& known : world.catalog->models()) {
        ASSERT_EQ(world.catalog->routes().candidates(known.id)->size(), 1U);
    }
    EXPECT_EQ(world.catalog->find(chat("m9999"))->rule->label, "default/m9999");
    EXPECT_EQ(world.catalog->rules().size(), 10'000U);
}

TEST(Catalog, AGeneralRouteMayGoBeforeTheModelsOwn) {
    auto world = two_models();
    world.routes = {gpt4_route(),
                    route("all", {rule({exact("/v1/chat/completions")}, {{"qwen", 1, 1}})})};
    world.publish();
    EXPECT_EQ(world.catalog->find(chat("gpt-4"))->rule->label,
              "default/all");  // exact path before headers
}

// The data path takes a shortcut past the candidate lists that the explanation does not take: both
// must agree.
TEST(Catalog, DecidesTheSameWithAndWithoutExplanation) {
    const char* const kPaths[] = {"/", "/v1", "/v1/chat", "/v1/chat/completions", "/v2"};
    const char* const kModels[] = {"", "llama-3-8b", "llama", "gpt-4", "org/qwen", "nobody"};
    Random random(11);
    for (int round = 0; round < 200; ++round) {
        auto world = two_models();
        for (int i = 0; i < 8; ++i) {
            std::vector<config::NameValueMatch> headers;
            if (const auto* name = kModels[random.below(5)]; *name != '\0') {
                headers.push_back(model_header(name));
            }
            const auto* path = kPaths[random.below(5)];
            const auto match = random.below(4) == 0 ? exact(path, headers) : prefix(path, headers);
            world.routes.push_back(
                route("r" + std::to_string(i), {rule({match}, {{"qwen", 1, 1}})}));
        }
        world.publish();
        for (const auto* name : kModels) {
            Trace trace;
            const auto facts = chat(name);
            const auto quick = world.catalog->find(facts);
            const auto slow = world.catalog->find(facts, &trace);
            ASSERT_EQ(quick.has_value(), slow.has_value());
            if (quick) {
                EXPECT_EQ(quick->rule, slow->rule);
                EXPECT_EQ(quick->match, slow->match);
                EXPECT_EQ(quick->model_id, slow->model_id);
            }
        }
    }
}

TEST(Catalog, ExplainsItself) {
    auto world = two_models();
    world.routes = {gpt4_route()};
    world.publish();
    Trace trace;
    ASSERT_TRUE(world.catalog->find(chat("llama", "other"), &trace));
    EXPECT_EQ(trace.lines(), (std::vector<std::string>{
                                 "The body names \"other\", but the header x-model-id wins.",
                                 "The header x-model-id names \"llama\": model \"llama-3-8b\".",
                                 "1 HTTPRoute matches want another model.",
                                 "The variants of model \"llama-3-8b\" apply."}));
}

}  // namespace
}  // namespace millrace::routing
