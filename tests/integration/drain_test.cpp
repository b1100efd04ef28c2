// Leaving without breaking anything: readiness, running streams, the deadline, exit codes, and
// endpoints one by one.
#include <algorithm>
#include <map>

#include <gtest/gtest.h>

#include "tests/integration/rig.hpp"

namespace millrace::test {
namespace {

/// Streams one token, then waits for the test before it goes on.
void stream_on_release(BackendConnection& connection) {
    if (!connection.read_request()) {
        return;
    }
    connection.send(stream_head() + chunk(event(chat_chunk("before "))));
    if (connection.wait_for("finish", 30s)) {
        connection.send(chunk(event(chat_chunk("after "))) + chunk("data: [DONE]\n\n") +
                        std::string(kLastChunk));
    }
    connection.wait_until_gone();
}

struct Draining {
    explicit Draining(std::string_view drain = "{deadline: 30s}")
        : rig(stream_on_release, {}, {.document = "drain: " + std::string(drain) + "\n"}),
          client(rig.gateway.port()) {
        client.send(post(kChat, chat("m1", true), {{"x-request-id", "draining-1"}}));
        EXPECT_TRUE(client.read_event("before"));
    }
    Rig rig;
    RawClient client;
};

TEST(Drain, TurnsReadinessOffAtOnceAndLetsStreamsFinish) {
    Draining draining;
    const auto asked = std::chrono::steady_clock::now();
    draining.rig.gateway.signal(SIGTERM);
    EXPECT_TRUE(eventually([&] { return !draining.rig.gateway.ready(); }, 2s));
    EXPECT_LE(since(asked), 150ms * kSlowdown);
    EXPECT_TRUE(draining.rig.gateway.running());
    draining.rig.backend.release("finish");
    const auto answer = draining.client.read_response();
    ASSERT_TRUE(answer && answer->complete);
    EXPECT_EQ(judge_stream(answer->body).content, "before after ");
    EXPECT_TRUE(judge_stream(answer->body).done);
    EXPECT_EQ(draining.rig.gateway.wait(), 0);
}

TEST(Drain, ExitsAtOnceWhenNothingRuns) {
    Rig rig;
    rig.chat_call(chat("m1"));
    RawClient idle(rig.gateway.port());
    idle.send(request("GET", "/v1/models"));
    idle.read_response();
    const auto asked = std::chrono::steady_clock::now();
    EXPECT_EQ(rig.gateway.stop(), 0);
    EXPECT_LE(since(asked), 2s * kSlowdown);
    EXPECT_TRUE(idle.closed_by_peer());
}

TEST(Drain, KeepsServingDuringPreStop) {
    Rig rig(ScriptedBackend::answering(well_behaved), {},
            {.document = "drain: {pre_stop: 1500ms, deadline: 10s}\n"});
    rig.gateway.signal(SIGTERM);
    ASSERT_TRUE(eventually([&] { return !rig.gateway.ready(); }, 2s));
    EXPECT_EQ(rig.chat_call(chat("m1")).status(), 200);
    EXPECT_EQ(rig.gateway.wait(), 0);
}

TEST(Drain, ClosesEachConnectionWithItsAnswer) {
    Draining draining;
    RawClient other(draining.rig.gateway.port());
    other.send(request("GET", "/v1/models"));
    ASSERT_TRUE(other.read_response());
    draining.rig.gateway.signal(SIGTERM);
    ASSERT_TRUE(eventually([&] { return !draining.rig.gateway.ready(); }, 2s));
    // An idle connection is closed, or answers once more and says goodbye.
    other.send(request("GET", "/v1/models"));
    const auto last = other.read_response(2s);
    EXPECT_TRUE(!last || last->header("connection") == "close") << last->raw;
    EXPECT_TRUE(other.closed_by_peer());
    draining.rig.backend.release("finish");
    EXPECT_TRUE(draining.client.read_response()->complete);
    EXPECT_EQ(draining.rig.gateway.wait(), 0);
}

TEST(Drain, EndsStreamsAtTheDeadlineWithAnErrorEventAndExitCode3) {
    Draining draining("{deadline: 600ms}");
    draining.rig.gateway.signal(SIGTERM);
    const auto answer = draining.client.read_response();
    ASSERT_TRUE(answer);
    EXPECT_FALSE(answer->complete);
    const auto verdict = judge_stream(answer->body);
    EXPECT_TRUE(verdict.error) << answer->body;
    EXPECT_FALSE(verdict.done);
    EXPECT_EQ(draining.rig.gateway.wait(), 3);
    draining.rig.backend.release("finish");
    EXPECT_TRUE(eventually([&] { return draining.rig.backend.gone_count() == 1; }));
    EXPECT_EQ(draining.rig.gateway.access_line("draining-1").value("outcome", ""), "drained");
}

/// Streams without end for whoever asks with x-endless; begins a stream, or nothing, for others.
ScriptedBackend::Script never_finishing() {
    return [](BackendConnection& connection) {
        const auto seen = connection.read_request();
        if (!seen) {
            return;
        }
        if (seen->has("x-endless")) {
            connection.send(stream_head());
            const auto piece = chunk(event(chat_chunk(std::string(32 * 1024, 'x'))));
            while (connection.send(piece)) {
            }
        } else {
            connection.send(seen->json().value("stream", false) ? StreamStart().token : "");
            connection.wait_until_gone();
        }
    };
}

TEST(Drain, EndsRequestsAtTheDeadlineInEveryPhase) {
    const NeverAccepting silent;
    const ScriptedBackend backend(never_finishing());
    const auto model = [](const std::string& name) {
        return "  - {id: " + name + ", variants: [{name: s, backend: " + name + "}]}\n";
    };
    const auto pool = [](const std::string& name, const std::string& url, const char* extra) {
        return "  " + name + ": {endpoints: {static: [\"" + url + "\"]}, " + extra + "}\n";
    };
    GatewayProcess gateway({.document = "models:\n" + model("silent") + model("m1") +
                                        model("narrow") + "backends:\n" +
                                        pool("silent", silent.url(), "timeouts: {connect: 60s}") +
                                        pool("m1", backend.url(), "slots_per_endpoint: 0") +
                                        pool("narrow", backend.url(), "slots_per_endpoint: 1") +
                                        "drain: {deadline: 700ms}\n"});
    std::map<std::string, RawClient> clients;
    const auto ask = [&](const char* id, const char* name, bool stream, Headers headers = {}) {
        headers.emplace_back("x-request-id", id);
        auto& client = clients.try_emplace(id, gateway.port()).first->second;
        client.limit_receive_buffer(16 * 1024);
        client.send(post(kChat, chat(name, stream), headers));
    };
    ask("connecting", "silent", false);
    ask("waiting", "m1", false);
    ask("streaming", "m1", true);
    ask("stalled", "m1", true, {{"x-endless", "1"}});
    ask("running", "narrow", false);
    ASSERT_TRUE(backend.wait_for_requests(4));
    ask("queued", "narrow", false);
    const auto long_request =
        post(kChat, chat("m1", false, std::string(1'000, 'x')), {{"x-request-id", "uploading"}});
    clients.try_emplace("uploading", gateway.port())
        .first->second.send(std::string_view(long_request).substr(0, long_request.size() - 100));
    ASSERT_TRUE(eventually([&] {
        const auto page = gateway.metrics();
        return page.sum("millrace_queued_requests") == 1 &&
               page.sum("millrace_in_flight_requests") == 5 &&
               page.sum("millrace_connections") == 7;
    }));
    gateway.signal(SIGTERM);
    EXPECT_EQ(gateway.wait(), 3);
    for (const auto* id : {"connecting", "waiting", "running", "queued", "uploading"}) {
        const auto answer = clients.at(id).read_response();
        ASSERT_TRUE(answer) << id << " got no answer";
        EXPECT_EQ(answer->status(), 503) << id;
        EXPECT_EQ(answer->header("x-millrace-reason"), "draining") << id;
    }
    const auto cut = clients.at("streaming").read_response();
    ASSERT_TRUE(cut);
    EXPECT_FALSE(cut->complete);
    EXPECT_TRUE(judge_stream(cut->body).error) << cut->body;
    EXPECT_FALSE(clients.at("stalled").read_to_end().ends_with(kLastChunk));
    EXPECT_NE(clients.at("stalled").last_outcome(), ReadOutcome::timeout);
    for (const auto& [id, client] : clients) {
        EXPECT_EQ(std::ranges::count_if(
                      gateway.access_log(),
                      [&](const auto& line) { return line.value("request_id", "") == id; }),
                  1)
            << id << " was not accounted for";
    }
}

TEST(Drain, IsFastOnASecondSignal) {
    Draining draining("{deadline: 60s}");
    draining.rig.gateway.signal(SIGTERM);
    ASSERT_TRUE(eventually([&] { return !draining.rig.gateway.ready(); }, 2s));
    const auto asked = std::chrono::steady_clock::now();
    draining.rig.gateway.signal(SIGTERM);
    const auto code = draining.rig.gateway.wait(5s);
    ASSERT_TRUE(code) << "a second signal must end the process";
    EXPECT_TRUE(*code == 3 || *code == 0);
    EXPECT_LE(since(asked), 3s * kSlowdown);
    const auto answer = draining.client.read_response();
    EXPECT_FALSE(answer && answer->complete);
}

TEST(Drain, ByTheAdminListenerCanBeTakenBack) {
    Rig rig;
    ASSERT_EQ(rig.gateway.admin("POST", "/drain").status(), 200);
    EXPECT_TRUE(eventually([&] { return !rig.gateway.ready(); }, 2s));
    EXPECT_EQ(rig.gateway.admin("GET", "/status").json().value("state", ""), "draining");
    const auto refused = rig.chat_call(chat("m1"));
    EXPECT_TRUE(refused.status() == 503 || refused.status() == 200 || refused.status() == 0);
    ASSERT_EQ(rig.gateway.admin("POST", "/undrain").status(), 200);
    EXPECT_TRUE(eventually([&] { return rig.gateway.ready(); }, 2s));
    EXPECT_EQ(rig.chat_call(chat("m1")).status(), 200);
}

TEST(Drain, ByTheCommandWaitsUntilNothingRuns) {
    Draining draining;
    const auto command = std::vector<std::string>{
        program("millrace"), "drain", "--admin",
        "http://" + loopback() + ':' + std::to_string(draining.rig.gateway.admin_port())};
    Process drain({.command = command});
    EXPECT_TRUE(eventually([&] { return !draining.rig.gateway.ready(); }));
    EXPECT_FALSE(drain.wait(300ms)) << "the command must wait for the running stream";
    draining.rig.backend.release("finish");
    EXPECT_EQ(drain.wait(), 0);
    EXPECT_TRUE(draining.client.read_response()->complete);
}

TEST(EndpointDrain, SendsNothingNewAndLetsRunningStreamsFinish) {
    ScriptedBackend first(stream_on_release);
    const ScriptedBackend second(ScriptedBackend::answering(well_behaved));
    GatewayProcess gateway({.document = "models: [{id: m1, variants: [{name: s, backend: p}]}]\n"
                                        "backends: {p: {endpoints: {static: [\"" +
                                        first.url() + "\", \"" + second.url() + "\"]}}}\n"});
    // Requests until one of them has landed on the first endpoint.
    std::vector<RawClient> clients;
    ASSERT_TRUE(eventually([&] {
        clients.emplace_back(gateway.port());
        clients.back().send(post(kChat, chat("m1", true)));
        return first.wait_for_requests(1, 100ms);
    }));
    ASSERT_EQ(gateway.admin("POST", "/drain?backend=p&endpoint=" + first.url()).status(), 200);
    EXPECT_EQ(
        gateway.metrics().sum("millrace_endpoints", {{"backend", "p"}, {"state", "draining"}}), 1);
    const auto before = first.request_count();
    for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(call(gateway.port(), post(kChat, chat("m1"))).status(), 200);
    }
    EXPECT_EQ(first.request_count(), before);
    first.release("finish");
    for (auto& client : clients) {
        const auto answer = client.read_response();
        EXPECT_TRUE(answer && answer->complete);
    }
    EXPECT_TRUE(gateway.ready()) << "an endpoint's drain is not the gateway's";
    EXPECT_EQ(gateway.admin("POST", "/drain?backend=p&endpoint=http://127.0.0.1:1").status() / 100,
              4);
}

}  // namespace
}  // namespace millrace::test
