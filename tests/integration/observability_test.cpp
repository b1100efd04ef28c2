// What operators see: metrics, the access log, health, the metrics-api for KEDA, and endpoints
// found by DNS.
#include <gtest/gtest.h>

#include "metrics/series.hpp"
#include "tests/integration/rig.hpp"

namespace millrace::test {
namespace {

TEST(Metrics, ListEverySeriesOfTheTableWithItsType) {
    // With a route, a rollout and a mirror, so that their series have somebody to speak of.
    const ScriptedBackend backend(ScriptedBackend::answering(well_behaved));
    auto document = one_model(backend.url());
    document.insert(document.find("backends:"),
                    "  - {id: m2, variants: [{name: v1, backend: m1-pool}, {name: v2, backend: "
                    "m1-pool}], rollout: {canary: v2}, mirror: {backend: m1-pool}}\n");
    const GatewayProcess gateway({.document = document + "routes: {manifests: [r.yaml]}\n",
                                  .files = {{"r.yaml", catch_all_route("m1-pool")}}});
    call(gateway.port(), post(kChat, chat("m1", true)));
    call(gateway.port(), post(kChat, chat("m2")));
    ASSERT_TRUE(gateway.wait_for_access_log(2));
    ASSERT_TRUE(eventually(
        [&] { return gateway.metrics().types().contains("millrace_mirrored_requests_total"); }));
    const auto page = gateway.metrics();
    for (const auto& series : metrics::kSeries) {
        const auto type = page.types().find(std::string(series.name));
        ASSERT_NE(type, page.types().end()) << series.name;
        EXPECT_EQ(type->second, metrics::to_string(series.type)) << series.name;
    }
    for (const auto& [name, type] : page.types()) {
        EXPECT_NE(std::ranges::find(metrics::kSeries, name, &metrics::SeriesInfo::name),
                  metrics::kSeries.end())
            << name << " is exposed but not declared";
    }
}

TEST(Metrics, CountRequestsInFlightWhileTheyRun) {
    Rig rig(
        [](BackendConnection& connection) {
            while (connection.read_request()) {
                connection.wait_for("go", 30s);
                connection.send(json_response(chat_answer()));
            }
        },
        "namespace: ai-inference");
    std::vector<RawClient> clients;
    for (int i = 0; i < 5; ++i) {
        clients.emplace_back(rig.gateway.port());
        clients.back().send(post(kChat, chat("m1")));
    }
    ASSERT_TRUE(rig.backend.wait_for_requests(5));
    const auto page = rig.gateway.metrics();
    EXPECT_EQ(page.sum("millrace_in_flight_requests", {{"model", "m1"}, {"variant", "stable"}}), 5);
    EXPECT_EQ(page.sum("millrace_pending_requests", {{"model", "m1"}}), 5);
    EXPECT_EQ(page.sum("millrace_load_requests", {{"model", "m1"}}), 5);
    EXPECT_EQ(page.sum("vllm_pending_requests", {{"namespace", "ai-inference"}, {"model", "m1"}}),
              5);
    const auto scaling = get(rig.gateway.metrics_port(), "/scaling/v1/models/m1");
    ASSERT_EQ(scaling.status(), 200) << scaling.raw;
    EXPECT_EQ(scaling.json(),
              nlohmann::json({{"value", 5}, {"pending", 5}, {"queued", 0}, {"in_flight", 5}}));
    rig.backend.release("go");
    for (auto& client : clients) {
        EXPECT_EQ(client.read_response()->status(), 200);
    }
    EXPECT_TRUE(rig.gateway.quiet());
    EXPECT_EQ(get(rig.gateway.metrics_port(), "/scaling/v1/models/m1").json()["value"], 0);
    EXPECT_EQ(get(rig.gateway.metrics_port(), "/scaling/v1/models/nobody").status(), 404);
}

TEST(Metrics, StopCountingAStreamAsPendingAtItsFirstToken) {
    Rig rig([](BackendConnection& connection) {
        if (!connection.read_request()) {
            return;
        }
        connection.send(stream_head());
        connection.wait_for("token", 30s);
        connection.send(chunk(event(chat_chunk("t0 "))));
        connection.wait_for("end", 30s);
        connection.send(chunk("data: [DONE]\n\n") + std::string(kLastChunk));
        connection.wait_until_gone();
    });
    RawClient client(rig.gateway.port());
    client.send(post(kChat, chat("m1", true)));
    ASSERT_TRUE(rig.backend.wait_for_requests(1));
    EXPECT_TRUE(
        eventually([&] { return rig.gateway.metrics().sum("millrace_pending_requests") == 1; }));
    rig.backend.release("token");
    ASSERT_TRUE(client.read_event("t0 "));
    const auto page = rig.gateway.metrics();
    EXPECT_EQ(page.sum("millrace_pending_requests"), 0);
    EXPECT_EQ(page.sum("millrace_in_flight_requests"), 1);
    rig.backend.release("end");
    EXPECT_TRUE(client.read_response()->complete);
    EXPECT_TRUE(rig.gateway.quiet());
}

TEST(Metrics, GrowByNothingWhenClientsInventNames) {
    const Rig rig;
    rig.chat_call(chat("m1"));
    rig.chat_call(chat("invented"));
    ASSERT_TRUE(rig.gateway.wait_for_access_log(2));
    const auto before = rig.gateway.metrics().samples().size();
    for (int i = 0; i < 200; ++i) {
        rig.chat_call(chat("invented-" + std::to_string(i)));
    }
    ASSERT_TRUE(rig.gateway.wait_for_access_log(201));
    EXPECT_EQ(rig.gateway.metrics().samples().size(), before);
    EXPECT_EQ(rig.gateway.metrics_page().find("invented"), std::string::npos);
    EXPECT_EQ(rig.gateway.metrics().sum("millrace_refusals_total", {{"code", "model_not_found"}}),
              201);
}

TEST(Metrics, CountRepetitionsOfSdksApart) {
    const Rig rig;
    rig.chat_call(chat("m1"), {{"x-stainless-retry-count", "0"}});
    rig.chat_call(chat("m1"), {{"x-stainless-retry-count", "1"}});
    ASSERT_TRUE(rig.gateway.wait_for_access_log(2)) << "written when all is counted";
    const auto page = rig.gateway.metrics();
    EXPECT_EQ(page.sum("millrace_sdk_retries_total", {{"model", "m1"}}), 1);
    EXPECT_EQ(page.sum("millrace_requests_total", {{"model", "m1"}}), 2);
}

TEST(Health, IsAnsweredOnTheMetricsListenerOnly) {
    const Rig rig;
    EXPECT_EQ(get(rig.gateway.metrics_port(), "/healthz").status(), 200);
    EXPECT_EQ(get(rig.gateway.metrics_port(), "/readyz").status(), 200);
    EXPECT_EQ(get(rig.gateway.metrics_port(), "/metrics").header("content-type").substr(0, 10),
              "text/plain");
    EXPECT_EQ(call(rig.gateway.metrics_port(), request("POST", "/drain")).status(), 404);
    EXPECT_EQ(get(rig.gateway.port(), "/healthz").status(), 404);
}

TEST(AccessLog, IsOneParseableLinePerRequestWithoutContents) {
    const Rig rig;
    const std::string prompt = "a very private prompt 4711";
    rig.chat_call(chat("m1", true, prompt),
                  {{"Authorization", "Bearer sk-very-secret"}, {"x-request-id", "log-1"}});
    call(rig.gateway.port(),
         request("GET", "/v1/models?api_key=sk-in-the-query", {{"x-request-id", "log-2"}}));
    ASSERT_TRUE(rig.gateway.wait_for_access_log(2));
    const auto line = rig.gateway.access_line("log-1");
    EXPECT_EQ(line.value("model", ""), "m1");
    EXPECT_EQ(line.value("variant", ""), "stable");
    EXPECT_EQ(line.value("backend", ""), "m1-pool");
    EXPECT_EQ(line.value("endpoint", ""), rig.backend.url());
    EXPECT_EQ(line.value("path", ""), kChat);
    EXPECT_EQ(line.value("status", 0), 200);
    EXPECT_EQ(line.value("upstream_status", 0), 200);
    EXPECT_EQ(line.value("outcome", ""), "completed");
    EXPECT_EQ(line.value("committed", ""), "first_byte");
    EXPECT_EQ(line.value("stream", false), true);
    EXPECT_EQ(line.value("prompt_tokens", 0), 7);
    EXPECT_EQ(line.value("completion_tokens", 0), 3);
    EXPECT_EQ(line.value("attempts", 0), 1);
    EXPECT_GT(line.value("upstream_bytes_read", 0), 100);
    EXPECT_GT(line.value("bytes_out", 0), 100);
    EXPECT_TRUE(line.contains("ttft_ms") && line.contains("duration_ms"));
    const auto text = rig.gateway.access_log_text() + rig.gateway.errors();
    for (const auto* secret : {"4711", "sk-very-secret", "sk-in-the-query", "t0 "}) {
        EXPECT_EQ(text.find(secret), std::string::npos) << secret;
    }
}

TEST(AccessLog, CannotBeForgedByNames) {
    const Rig rig;
    rig.chat_call(chat("x\n{\"forged\":true}\x1b[31m\xe2\x80\xa8"));
    call(rig.gateway.port(), request("GET", "/v1/%22forged"));
    rig.chat_call(chat("m1"), {{"x-request-id", "last"}});
    ASSERT_TRUE(rig.gateway.access_line("last").is_object());
    const auto text = rig.gateway.access_log_text();
    EXPECT_EQ(rig.gateway.access_log().size(), 3U) << text;
    EXPECT_EQ(text.find('\x1b'), std::string::npos);
    for (const auto& line : rig.gateway.access_log()) {
        EXPECT_FALSE(line.contains("forged"));
    }
}

TEST(Dns, FindsEndpointsByNameAndKeepsTheLastGoodAnswer) {
    // A name that resolves to 127.0.0.1 everywhere; a backend of the test listens there.
    const ScriptedBackend backend(ScriptedBackend::answering(well_behaved), "127.0.0.1");
    const GatewayProcess gateway(
        {.document = "models: [{id: m1, variants: [{name: s, backend: p}]}]\n"
                     "backends: {p: {endpoints: {dns: {name: localhost, port: " +
                     std::to_string(backend.port()) + ", refresh: 200ms}}}}\n"});
    EXPECT_TRUE(
        eventually([&] { return call(gateway.port(), post(kChat, chat("m1"))).status() == 200; }));
    EXPECT_GE(gateway.metrics().sum("millrace_endpoints", {{"backend", "p"}, {"state", "ready"}}),
              1);
}

TEST(Commands, CheckSchemaAndVersionWorkWithoutAServer) {
    const TempDir directory;
    const auto good = directory.write("good.yaml", one_model("http://127.0.0.1:9"));
    const auto bad =
        directory.write("bad.yaml", "models: [{id: m1, variants: [{name: s, backend: gone}]}]\n");
    const auto checked = run({program("millrace"), "check", good});
    EXPECT_EQ(checked.code, 0) << checked.output;
    const auto refused = run({program("millrace"), "check", bad});
    EXPECT_EQ(refused.code, 2);
    EXPECT_NE(refused.output.find("gone"), std::string::npos) << refused.output;
    EXPECT_NE(refused.output.find("bad.yaml:1:"), std::string::npos) << refused.output;
    const auto schema = run({program("millrace"), "schema"});
    EXPECT_TRUE(nlohmann::json::accept(schema.output)) << schema.output.substr(0, 200);
    EXPECT_EQ(run({program("millrace"), "version"}).code, 0);
    EXPECT_EQ(run({program("millrace"), "no-such-command"}).code, 2);
}

}  // namespace
}  // namespace millrace::test
