// A model whose own backend cannot answer: its fallbacks do, as if nothing had happened, and the
// account says what did.
#include <thread>

#include <gtest/gtest.h>

#include "tests/integration/rig.hpp"
#include "tests/support/openssl_command.hpp"

namespace millrace::test {
namespace {

/// Takes connections and closes them before it answers.
ScriptedBackend::Script broken() {
    return [](BackendConnection& connection) { connection.read_request(); };
}

/// Answers a request with what the model's name was in its body.
std::string say_model(const Message& seen) {
    return json_response(chat_answer(seen.json().value("model", "")));
}

std::string content(const Message& answer) {
    return answer.json()["choices"][0]["message"]["content"];
}

/// Models `first`, `second` and `third`, a backend each; `first` falls back to the others in order.
struct Three {
    explicit Three(ScriptedBackend::Script script, std::string_view backend_extra = {},
                   std::string_view model_extra = {}, std::string_view second_extra = {})
        : first(std::move(script)),
          gateway({.document = document(backend_extra, model_extra, second_extra)}) {}

    std::string document(std::string_view backend_extra, std::string_view model_extra,
                         std::string_view second_extra) const {
        return "models:\n"
               "  - {id: first, variants: [{name: stable, backend: one, served_name: name-1}],\n"
               "     fallback: [{model: second}, {model: third}]" +
               std::string(model_extra) +
               "}\n"
               "  - {id: second, variants: [{name: v, backend: two, served_name: name-2}]}\n"
               "  - {id: third, variants: [{name: v, backend: three, served_name: name-3}]}\n"
               "backends:\n"
               "  one: {endpoints: {static: [\"" +
               first.url() + "\"]}, outliers: {failures: 0}" + std::string(backend_extra) +
               "}\n  two: {endpoints: {static: [\"" + second.url() + "\"]}" +
               std::string(second_extra) + "}\n  three: {endpoints: {static: [\"" + third.url() +
               "\"]}}\n";
    }
    Message ask(nlohmann::json body = chat("first"), Headers headers = {}) const {
        return call(gateway.port(), post(kChat, body, std::move(headers)));
    }
    double fallbacks(std::string_view reason) const {
        return gateway.metrics().sum("millrace_fallbacks_total",
                                     {{"model", "first"}, {"reason", std::string(reason)}});
    }

    ScriptedBackend first;
    ScriptedBackend second{ScriptedBackend::answering(say_model)};
    ScriptedBackend third{ScriptedBackend::answering(say_model)};
    GatewayProcess gateway;
};

TEST(Fallback, AnswersAsAnotherModelAndTheAccountSaysSo) {
    const Three rig(broken());
    const auto answer = rig.ask(chat("first"), {{"x-request-id", "moved-1"}});
    ASSERT_EQ(answer.status(), 200) << answer.raw;
    EXPECT_EQ(content(answer), "name-2") << "the name that the other backend knows";
    EXPECT_TRUE(rig.gateway.quiet());
    EXPECT_EQ(rig.fallbacks("failed"), 1);
    const auto metrics = rig.gateway.metrics();
    EXPECT_EQ(metrics.sum("millrace_requests_total", {{"model", "first"}}), 0);
    EXPECT_EQ(
        metrics.sum("millrace_requests_total", {{"model", "second"}, {"outcome", "completed"}}), 1);
    EXPECT_EQ(metrics.sum("millrace_tokens_total", {{"model", "second"}, {"kind", "completion"}}),
              3);
    const auto line = rig.gateway.access_line("moved-1");
    EXPECT_EQ(line.value("requested_model", ""), "first");
    EXPECT_EQ(line.value("model", ""), "second");
    EXPECT_EQ(line.value("backend", ""), "two");
    EXPECT_EQ(line.value("attempts", 0), 2);
    ASSERT_EQ(line["earlier_attempts"].size(), 1U);
    EXPECT_EQ(line["earlier_attempts"][0]["backend"], "one");
    EXPECT_EQ(line["earlier_attempts"][0]["outcome"], "closed");
}

TEST(Fallback, TakesOverStreamsBeforeTheirFirstEvent) {
    Three rig([](BackendConnection& connection) {
        if (connection.read_request()) {
            connection.send(stream_head() + chunk("data: {\"id\""));
        }
    });
    rig.second.script(0, ScriptedBackend::answering(well_behaved));
    const auto answer = rig.ask(chat("first", true));
    EXPECT_EQ(answer.status(), 200);
    EXPECT_EQ(judge_stream(answer.body).content, "t0 t1 t2 ");
    EXPECT_TRUE(answer.complete);
}

TEST(Fallback, FollowsAnAnswerThatIsAboutTheBackend) {
    for (const int status : {429, 502, 503, 504}) {
        const Three rig(ScriptedBackend::always(json_response(nlohmann::json::object(), status)));
        EXPECT_EQ(content(rig.ask()), "name-2") << status;
        EXPECT_EQ(rig.fallbacks("error_status"), 1);
    }
}

TEST(Fallback, NeverFollowsWhatTheClientDid) {
    const auto error = nlohmann::json{{"error", {{"message", "no"}, {"code", 400}}}};
    for (const int status : {400, 404, 422, 500}) {
        const Three rig(ScriptedBackend::always(json_response(error, status)));
        const auto answer = rig.ask();
        EXPECT_EQ(answer.status(), status);
        EXPECT_EQ(answer.json(), error);
        EXPECT_EQ(rig.second.request_count(), 0U);
    }
}

TEST(Fallback, GoesDownTheList) {
    Three rig(broken());
    rig.second.stop_accepting();
    EXPECT_EQ(content(rig.ask()), "name-3");
    EXPECT_EQ(rig.gateway.metrics().sum("millrace_fallbacks_total",
                                        {{"model", "second"}, {"reason", "connect_failed"}}),
              1);
}

TEST(Fallback, EndsWithTheLastFailureWithinSixAttempts) {
    Three rig(broken());
    for (auto* backend : {&rig.first, &rig.second, &rig.third}) {
        backend->stop_accepting();
    }
    const auto answer = rig.ask(chat("first"), {{"x-request-id", "lost-1"}});
    EXPECT_EQ(answer.status(), 502);
    EXPECT_EQ(rig.gateway.access_line("lost-1").value("attempts", 0), 6);
    EXPECT_TRUE(rig.gateway.quiet());
}

TEST(Fallback, RelaysTheBackendsRefusalWhenNobodyElseIsReady) {
    const auto error = nlohmann::json{{"error", {{"message", "full"}, {"code", 503}}}};
    const Three rig(ScriptedBackend::always(json_response(error, 503)));
    for (const auto& [name, url] : {std::pair<std::string, std::string>{"two", rig.second.url()},
                                    {"three", rig.third.url()}}) {
        ASSERT_EQ(rig.gateway.admin("POST", "/drain?backend=" + name + "&endpoint=" + url).status(),
                  200);
    }
    const auto answer = rig.ask();
    EXPECT_EQ(answer.status(), 503);
    EXPECT_EQ(answer.json(), error);
    EXPECT_EQ(rig.fallbacks("error_status"), 0);
}

TEST(Fallback, OfAStoredResponseHappensOnlyWhenNothingWasSent) {
    Three rig(broken());
    auto body = chat("first");
    body["store"] = true;
    EXPECT_EQ(rig.ask(body).status(), 502);
    EXPECT_EQ(rig.second.request_count(), 0U);
    rig.first.stop_accepting();
    EXPECT_EQ(content(rig.ask(body)), "name-2");
    EXPECT_EQ(rig.fallbacks("connect_failed"), 1);
}

TEST(Fallback, FollowsSilence) {
    const Three rig(
        [](BackendConnection& connection) {
            if (connection.read_request()) {
                connection.wait_until_gone();
            }
        },
        ", timeouts: {first_byte: 100ms}");
    EXPECT_EQ(content(rig.ask()), "name-2");
    EXPECT_EQ(rig.fallbacks("timeout"), 1);
}

TEST(Fallback, FollowsAQueueThatRefuses) {
    const Three rig(ScriptedBackend::answering(say_model), ", queue: {timeout: 50ms, hold: 100ms}");
    ASSERT_EQ(rig.gateway.admin("POST", "/drain?backend=one&endpoint=" + rig.first.url()).status(),
              200);
    EXPECT_EQ(content(rig.ask()), "name-2");
    EXPECT_EQ(rig.fallbacks("unready"), 1);
    EXPECT_EQ(rig.first.request_count(), 0U);
    EXPECT_TRUE(rig.gateway.quiet());
}

TEST(Fallback, ReplacesTheRefusalOfAModelThatDoesNotWait) {
    const Three rig(ScriptedBackend::answering(say_model), {}, ", unready: unavailable");
    ASSERT_EQ(rig.gateway.admin("POST", "/drain?backend=one&endpoint=" + rig.first.url()).status(),
              200);
    EXPECT_EQ(content(rig.ask()), "name-2");
    EXPECT_EQ(rig.fallbacks("unready"), 1);
}

TEST(Fallback, HappensAfterHeartbeatsToo) {
    Three rig(ScriptedBackend::answering(well_behaved), ", queue: {timeout: 50ms, hold: 500ms}",
              ", heartbeat: {after: 100ms, every: 100ms}");
    rig.second.script(0, ScriptedBackend::answering(well_behaved));
    ASSERT_EQ(rig.gateway.admin("POST", "/drain?backend=one&endpoint=" + rig.first.url()).status(),
              200);
    const auto answer = rig.ask(chat("first", true));
    EXPECT_EQ(answer.status(), 200);
    EXPECT_TRUE(answer.body.starts_with(": millrace state=starting")) << answer.body;
    EXPECT_EQ(judge_stream(answer.body).content, "t0 t1 t2 ");
}

/// Holds every request until release("go").
ScriptedBackend::Script on_command() {
    return [](BackendConnection& connection) {
        while (connection.read_request()) {
            if (!connection.wait_for("go") || !connection.send(json_response(chat_answer("own")))) {
                return;
            }
        }
    };
}

TEST(Overflow, LeavesALineThatIsTooLongForAFreeSlot) {
    Three rig(on_command(), ", slots_per_endpoint: 1", ", overflow: {after: 100ms}");
    RawClient busy(rig.gateway.port());
    ASSERT_TRUE(busy.send(post(kChat, chat("first"))));
    ASSERT_TRUE(rig.first.wait_for_requests(1));
    EXPECT_EQ(content(rig.ask()), "name-2");
    EXPECT_EQ(rig.fallbacks("overflow"), 1);
    rig.first.release("go");
    const auto own = busy.read_response();
    ASSERT_TRUE(own);
    EXPECT_EQ(content(*own), "own");
    EXPECT_EQ(content(rig.ask()), "own") << "a free slot of its own comes first";
    EXPECT_TRUE(rig.gateway.quiet());
}

TEST(Overflow, WaitsOnWhileNoFallbackHasAFreeSlot) {
    Three rig(on_command(), ", slots_per_endpoint: 1", ", overflow: {after: 100ms}");
    for (const auto& [name, url] : {std::pair<std::string, std::string>{"two", rig.second.url()},
                                    {"three", rig.third.url()}}) {
        ASSERT_EQ(rig.gateway.admin("POST", "/drain?backend=" + name + "&endpoint=" + url).status(),
                  200);
    }
    std::vector<RawClient> clients;
    for (int i = 0; i < 2; ++i) {
        clients.emplace_back(rig.gateway.port());
        ASSERT_TRUE(clients.back().send(post(kChat, chat("first"))));
    }
    ASSERT_TRUE(
        eventually([&] { return rig.gateway.metrics().sum("millrace_queued_requests") == 1; }));
    ASSERT_EQ(
        rig.gateway.admin("POST", "/undrain?backend=three&endpoint=" + rig.third.url()).status(),
        200);
    ASSERT_TRUE(rig.third.wait_for_requests(1)) << "a slot that got free is found";
    EXPECT_EQ(rig.fallbacks("overflow"), 1);
    rig.first.release("go");
    for (auto& client : clients) {
        EXPECT_TRUE(client.read_response());
    }
    EXPECT_TRUE(rig.gateway.quiet());
}

/// Another operator's gateway: reached over TLS, with a key, under the model name that it knows.
TEST(ExternalProvider, IsAFallbackWithItsOwnNameAndCredential) {
    const TempDir directory;
    const auto authority = make_authority(directory, "ca");
    const auto leaf = make_leaf(directory, authority, "provider", "provider.test");
    const std::string key = "sk-provider-key-000000000";
    const ScriptedBackend origin(ScriptedBackend::answering(well_behaved));
    const GatewayProcess provider(
        {.document = one_model(origin.url(), {}, {}, "big-model") +
                     "authentication: {keys: {file: keys.txt, pepper: {env: TEST_PEPPER}}}\n",
         .data_listener =
             "tls: {certificate: \"" + leaf.certificate + "\", key: \"" + leaf.key + "\"}",
         .files = {{"keys.txt", key_file_line("id", "us", key, "pep")}},
         .environment = {{"TEST_PEPPER", "pep"}}});
    ScriptedBackend own(ScriptedBackend::answering(well_behaved));
    const GatewayProcess gateway(
        {.document =
             "models:\n"
             "  - {id: small, variants: [{name: own, backend: own}], fallback: [{model: far}]}\n"
             "  - {id: far, variants: [{name: v, backend: far, served_name: big-model}]}\n"
             "backends:\n"
             "  own: {endpoints: {static: [\"" +
             own.url() +
             "\"]}}\n"
             "  far: {endpoints: {static: [\"https://" +
             loopback() + ':' + std::to_string(provider.port()) +
             "\"]}, api_key: {env: PROVIDER_KEY}, tls: {ca: \"" + authority.certificate + "\"}}\n",
         .environment = {{"PROVIDER_KEY", key}}});
    own.stop_accepting();
    EXPECT_EQ(call(gateway.port(), post(kChat, chat("small"))).status(), 200);
    const auto stream = call(gateway.port(), post(kChat, chat("small", true)));
    EXPECT_EQ(judge_stream(stream.body).content, "t0 t1 t2 ") << stream.raw;
    EXPECT_EQ(origin.request_count(), 2U);
    EXPECT_EQ(provider.metrics().sum("millrace_tenant_tokens_total", {{"tenant", "us"}}) > 0, true);
}

}  // namespace
}  // namespace millrace::test
