// Which backend and which variant a request reaches, seen from outside.
#include <map>

#include <gtest/gtest.h>

#include "tests/integration/rig.hpp"

namespace millrace::test {
namespace {

/// Answers with its own name, so that the client can tell who answered.
ScriptedBackend::Script named(const std::string& name) {
    return ScriptedBackend::answering([name](const Message& seen) {
        auto answer = chat_answer(name);
        answer["seen_model"] = seen.json().is_object() ? seen.json().value("model", "") : "";
        answer["seen_target"] = seen.target();
        return json_response(answer);
    });
}

std::string text_of(const Message& message) {
    const auto json = message.json();
    return json.is_object() && json.contains("choices")
               ? json["choices"][0]["message"]["content"].get<std::string>()
               : "status " + std::to_string(message.status()) + ": " + message.body;
}

struct TwoBackends {
    explicit TwoBackends(std::string_view models, std::string_view more = {},
                         std::vector<std::pair<std::string, std::string>> files = {})
        : gateway({.document = document(models, more), .files = std::move(files)}) {}

    std::string document(std::string_view models, std::string_view more) const {
        return std::string("models:\n")
            .append(models)
            .append("backends:\n  a: {endpoints: {static: [\"" + a.url() +
                    "\"]}}\n  b: {endpoints: {static: [\"" + b.url() + "\"]}}\n")
            .append(more);
    }
    Message ask(const nlohmann::json& body, Headers headers = {}) const {
        return call(gateway.port(), post(kChat, body, std::move(headers)));
    }

    ScriptedBackend a{named("a")};
    ScriptedBackend b{named("b")};
    GatewayProcess gateway;
};

constexpr std::string_view kTwoModels =
    "  - {id: alpha, aliases: [al, gpt-4o-mini], variants: [{name: stable, backend: a}]}\n"
    "  - {id: org/beta, variants: [{name: stable, backend: b, served_name: beta-ft2}]}\n";

TEST(Routing, FollowsTheBodyTheHeaderAndAliases) {
    const TwoBackends rig(kTwoModels);
    EXPECT_EQ(text_of(rig.ask(chat("alpha"))), "a");
    EXPECT_EQ(text_of(rig.ask(chat("org/beta"))), "b");
    EXPECT_EQ(text_of(rig.ask(chat("gpt-4o-mini"))), "a");
    EXPECT_EQ(text_of(rig.ask(chat("unknown-to-us"), {{"x-model-id", "org/beta"}})), "b");
    auto without = chat("x");
    without.erase("model");
    EXPECT_EQ(text_of(rig.ask(without, {{"X-Model-Id", "alpha"}})), "a");
}

TEST(Routing, SendsTheServedNameAndLeavesTheRestOfTheBodyAlone) {
    const TwoBackends rig(kTwoModels);
    const std::string body =
        R"({ "messages" : [{"role":"user","content":"é model \"model\": 1"}],  "temperature":0.10 ,"model" : "org/beta" })";
    const auto answer = call(rig.gateway.port(), post_text(kChat, body));
    EXPECT_EQ(answer.json()["seen_model"], "beta-ft2");
    auto expected = body;
    expected.replace(expected.rfind("org/beta"), 8, "beta-ft2");
    EXPECT_EQ(rig.b.requests().back().body, expected);
    EXPECT_EQ(rig.ask(chat("al")).json()["seen_model"], "alpha");
}

TEST(Routing, InsertsTheModelThatOnlyTheHeaderNames) {
    const TwoBackends rig(kTwoModels);
    const auto answer =
        call(rig.gateway.port(), post_text(kChat, R"({"messages":[]})", {{"x-model-id", "alpha"}}));
    EXPECT_EQ(answer.json()["seen_model"], "alpha");
}

TEST(Routing, RefusesTwoKnownNamesOrRewritesWhenToldTo) {
    const TwoBackends refusing(kTwoModels);
    const auto refused = refusing.ask(chat("alpha"), {{"x-model-id", "org/beta"}});
    EXPECT_EQ(refused.status(), 400);
    EXPECT_EQ(refused.error_code(), "model_mismatch");
    EXPECT_EQ(refusing.a.request_count() + refusing.b.request_count(), 0U);
    // An alias of the same model is no conflict.
    EXPECT_EQ(text_of(refusing.ask(chat("al"), {{"x-model-id", "alpha"}})), "a");

    const TwoBackends rewriting(kTwoModels, "routes: {on_model_conflict: rewrite}\n");
    const auto rewritten = rewriting.ask(chat("alpha"), {{"x-model-id", "org/beta"}});
    EXPECT_EQ(text_of(rewritten), "b");
    EXPECT_EQ(rewritten.json()["seen_model"], "beta-ft2");
}

TEST(Routing, SplitsEightyToTwentyExactlyOverAllWorkers) {
    const TwoBackends rig(
        "  - {id: alpha, variants: [{name: stable, weight: 80, backend: a},"
        " {name: canary, weight: 20, backend: b}]}\n");
    std::map<std::string, int> count;
    for (int i = 0; i < 200; ++i) {  // a connection each, so every worker takes part
        ++count[text_of(rig.ask(chat("alpha")))];
    }
    EXPECT_EQ(count["a"], 160);
    EXPECT_EQ(count["b"], 40);
}

TEST(Routing, KeepsAStickyCallerOnOneVariant) {
    const TwoBackends rig(
        "  - {id: alpha, sticky: {header: x-session-id}, variants:"
        " [{name: stable, weight: 50, backend: a}, {name: canary, weight: 50, backend: b}]}\n");
    std::map<std::string, int> first;
    for (int session = 0; session < 40; ++session) {
        const Headers headers{{"x-session-id", "session-" + std::to_string(session)}};
        const auto chosen = text_of(rig.ask(chat("alpha"), headers));
        ++first[chosen];
        for (int again = 0; again < 3; ++again) {
            EXPECT_EQ(text_of(rig.ask(chat("alpha"), headers)), chosen) << session;
        }
    }
    EXPECT_GT(first["a"], 5);
    EXPECT_GT(first["b"], 5);
}

TEST(Routing, DrawsAgainWhenAVariantHasNoReadyEndpoint) {
    const TwoBackends rig(
        "  - {id: alpha, variants: [{name: stable, weight: 1, backend: a},"
        " {name: canary, weight: 1, backend: b}]}\n");
    const auto drained = rig.gateway.admin("POST", "/drain?backend=b&endpoint=" + rig.b.url());
    ASSERT_EQ(drained.status(), 200) << drained.raw;
    for (int i = 0; i < 10; ++i) {
        EXPECT_EQ(text_of(rig.ask(chat("alpha"))), "a");
    }
    ASSERT_EQ(rig.gateway.admin("POST", "/undrain?backend=b&endpoint=" + rig.b.url()).status(),
              200);
    std::map<std::string, int> count;
    for (int i = 0; i < 10; ++i) {
        ++count[text_of(rig.ask(chat("alpha")))];
    }
    EXPECT_EQ(count["b"], 5);
}

TEST(Routing, AnswersAllZeroWeightsWith503) {
    const TwoBackends rig("  - {id: alpha, variants: [{name: stable, weight: 0, backend: a}]}\n");
    const auto answer = rig.ask(chat("alpha"));
    EXPECT_EQ(answer.status(), 503);
    EXPECT_EQ(rig.a.request_count(), 0U);
}

TEST(Routing, SpreadsOverTheEndpointsOfOneBackend) {
    const ScriptedBackend a(named("a"));
    const ScriptedBackend b(named("b"));
    const GatewayProcess gateway(
        {.document = "models: [{id: m1, variants: [{name: stable, backend: p}]}]\n"
                     "backends: {p: {endpoints: {static: [\"" +
                     a.url() + "\", \"" + b.url() + "\"]}}}\n"});
    for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(call(gateway.port(), post(kChat, chat("m1"))).status(), 200);
    }
    EXPECT_GE(a.request_count(), 4U);
    EXPECT_GE(b.request_count(), 4U);
    EXPECT_EQ(a.request_count() + b.request_count(), 20U);
}

constexpr std::string_view kManifest = R"(apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: llm-route, namespace: ai-inference}
spec:
  parentRefs: [{name: inference-gateway}]
  rules:
    - matches:
        - path: {type: PathPrefix, value: /v1/chat/completions}
          headers: [{type: Exact, name: x-model-id, value: gpt-4}]
      backendRefs:
        - {name: a, port: 8000, weight: 80}
        - {name: b, port: 8000, weight: 20}
    - matches: [{path: {type: PathPrefix, value: /tools}}]
      filters:
        - type: URLRewrite
          urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /internal}}
        - type: RequestHeaderModifier
          requestHeaderModifier: {set: [{name: x-added, value: "1"}], remove: [x-removed]}
      backendRefs: [{name: b, port: 8000}]
)";

struct WithManifest : TwoBackends {
    WithManifest()
        : TwoBackends(kTwoModels, "routes: {manifests: [route.yaml]}\n",
                      {{"route.yaml", std::string(kManifest)}}) {}
};

TEST(Routing, FollowsAnHttpRouteByHeaderAndByBodyAlike) {
    const WithManifest rig;
    std::map<std::string, int> count;
    for (int i = 0; i < 50; ++i) {
        ++count[text_of(rig.ask(chat("gpt-4"), {{"x-model-id", "gpt-4"}}))];
        ++count[text_of(rig.ask(chat("gpt-4")))];
    }
    EXPECT_EQ(count["a"], 80);
    EXPECT_EQ(count["b"], 20);
    EXPECT_EQ(rig.a.requests().back().json()["model"], "gpt-4");
}

TEST(Routing, ForwardsOtherPathsOnlyByARouteWithItsFilters) {
    const WithManifest rig;
    const auto answer = call(rig.gateway.port(),
                             request("POST", "/tools/run?x=%31", {{"x-removed", "1"}}, "not json"));
    ASSERT_EQ(answer.status(), 200) << answer.raw;
    const auto seen = rig.b.requests().back();
    EXPECT_EQ(seen.target(), "/internal/run?x=%31");
    EXPECT_EQ(seen.header("x-added"), "1");
    EXPECT_FALSE(seen.has("x-removed"));
    EXPECT_EQ(seen.body, "not json");
    EXPECT_EQ(get(rig.gateway.port(), "/elsewhere").status(), 404);
}

TEST(Routing, HidesControlEndpointsOfVllm) {
    const TwoBackends rig(kTwoModels, "routes: {manifests: [route.yaml]}\n",
                          {{"route.yaml", catch_all_route("a")}});
    for (const auto* path :
         {"/sleep", "/v1/load_lora_adapter", "//sleep", "/%73leep", "/collective_rpc"}) {
        const auto status = call(rig.gateway.port(), post_text(path, "{}")).status();
        EXPECT_TRUE(status == 404 || status == 400) << path << ' ' << status;
    }
    EXPECT_EQ(rig.a.request_count(), 0U);
}

TEST(Routing, ListsModelsWithoutAskingABackend) {
    const WithManifest rig;
    const auto list = get(rig.gateway.port(), "/v1/models").json();
    ASSERT_TRUE(list.is_object());
    EXPECT_EQ(list["object"], "list");
    std::map<std::string, std::string> owners;
    for (const auto& entry : list["data"]) {
        EXPECT_EQ(entry["object"], "model");
        EXPECT_TRUE(entry["created"].is_number_integer());
        owners[entry["id"]] = entry["owned_by"];
    }
    EXPECT_TRUE(owners.contains("alpha"));
    EXPECT_TRUE(owners.contains("org/beta"));
    EXPECT_TRUE(owners.contains("gpt-4")) << "a route's exact x-model-id is a known name";
    EXPECT_EQ(get(rig.gateway.port(), "/v1/models/alpha").json()["id"], "alpha");
    EXPECT_EQ(get(rig.gateway.port(), "/v1/models/org%2Fbeta").json()["id"], "org/beta");
    EXPECT_EQ(get(rig.gateway.port(), "/v1/models/org/beta").json()["id"], "org/beta");
    EXPECT_EQ(get(rig.gateway.port(), "/v1/models/nobody").error_code(), "model_not_found");
    EXPECT_EQ(rig.a.connections() + rig.b.connections(), 0U);
}

TEST(Routing, ExplainsADecisionOnTheAdminListener) {
    const TwoBackends rig(kTwoModels);
    const auto answer = rig.gateway.admin(
        "POST", "/explain", nlohmann::json({{"target", kChat}, {"body", chat("al")}}).dump());
    ASSERT_EQ(answer.status(), 200) << answer.raw;
    EXPECT_NE(answer.body.find("alpha"), std::string::npos) << answer.body;
    EXPECT_NE(answer.body.find(rig.a.url()), std::string::npos) << answer.body;
    EXPECT_EQ(rig.a.connections(), 0U);
}

}  // namespace
}  // namespace millrace::test
