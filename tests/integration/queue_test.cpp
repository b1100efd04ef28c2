// Waiting for an endpoint: held while none is ready, queued while all are busy, in the right order,
// and refused with a reason when the wait is over.
#include <atomic>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/integration/rig.hpp"

namespace millrace::test {
namespace {

constexpr std::string_view kOneSlot = "slots_per_endpoint: 1";

std::string drain_target(const Rig& rig) {
    return "backend=m1-pool&endpoint=" + rig.backend.url();
}

double queued(const Rig& rig) {
    return rig.gateway.metrics().sum("millrace_queued_requests");
}

/// Answers nothing until release("go").
ScriptedBackend::Script on_command() {
    return [](BackendConnection& connection) {
        while (connection.read_request()) {
            if (!connection.wait_for("go") || !connection.send(json_response(chat_answer()))) {
                return;
            }
        }
    };
}

TEST(Hold, KeepsRequestsUntilAnEndpointIsReady) {
    const Rig rig;
    ASSERT_EQ(rig.gateway.admin("POST", "/drain?" + drain_target(rig)).status(), 200);
    std::vector<RawClient> clients;
    for (int i = 0; i < 20; ++i) {
        clients.emplace_back(rig.gateway.port());
        ASSERT_TRUE(clients.back().send(post(kChat, chat("m1", i % 2 == 0))));
    }
    ASSERT_TRUE(eventually([&] { return queued(rig) == 20; }));
    EXPECT_EQ(rig.gateway.metrics().sum("vllm_pending_requests"), 20);
    EXPECT_EQ(rig.backend.request_count(), 0U);
    ASSERT_EQ(rig.gateway.admin("POST", "/undrain?" + drain_target(rig)).status(), 200);
    for (auto& client : clients) {
        const auto answer = client.read_response();
        ASSERT_TRUE(answer);
        EXPECT_EQ(answer->status(), 200);
    }
    EXPECT_TRUE(rig.gateway.quiet());
}

TEST(Hold, EndsWithTheReasonWhenNobodyComes) {
    const Rig rig(ScriptedBackend::answering(well_behaved), "queue: {timeout: 50ms, hold: 300ms}");
    ASSERT_EQ(rig.gateway.admin("POST", "/drain?" + drain_target(rig)).status(), 200);
    const auto began = std::chrono::steady_clock::now();
    const auto answer = rig.chat_call(chat("m1", true));
    EXPECT_GE(since(began), 300ms);
    EXPECT_EQ(answer.status(), 503);
    EXPECT_EQ(answer.header("x-millrace-reason"), "starting");
    EXPECT_EQ(answer.header("x-should-retry"), "true");
    EXPECT_FALSE(answer.header("retry-after-ms").empty());
    EXPECT_EQ(answer.json()["error"]["code"], "pool_starting");
    EXPECT_TRUE(rig.gateway.quiet());
}

/// A drained backend and a model whose streams hear from the gateway every 100 ms.
struct HeartbeatRig {
    explicit HeartbeatRig(ScriptedBackend::Script script)
        : backend(std::move(script)),
          gateway({.document =
                       one_model(backend.url(), {}, "heartbeat: {after: 100ms, every: 100ms}")}) {
        gateway.admin("POST", "/drain?backend=m1-pool&endpoint=" + backend.url());
    }
    /// Asks for a stream and wakes the backend after the first comments.
    Message answer_after_comments() {
        RawClient client(gateway.port());
        client.send(post(kChat, chat("m1", true), {{"x-request-id", "waited-1"}}));
        EXPECT_TRUE(client.read_until(
            [](const Message& seen) { return seen.body.find("ahead=0") != std::string::npos; }));
        gateway.admin("POST", "/undrain?backend=m1-pool&endpoint=" + backend.url());
        return client.read_response().value_or(Message{});
    }

    ScriptedBackend backend;
    GatewayProcess gateway;
};

TEST(Heartbeat, TellsAStreamWhereItStandsAndGoesOnAsTheBackendSays) {
    HeartbeatRig rig(ScriptedBackend::answering(well_behaved));
    const auto answer = rig.answer_after_comments();
    EXPECT_EQ(answer.status(), 200);
    EXPECT_TRUE(answer.header("content-type").starts_with("text/event-stream"));
    EXPECT_TRUE(answer.body.starts_with(": millrace state=starting ahead=0 wait_seconds="));
    EXPECT_NE(answer.body.find("t2 "), std::string::npos);
    EXPECT_TRUE(answer.body.ends_with("data: [DONE]\n\n")) << answer.body;
    EXPECT_EQ(rig.gateway.access_line("waited-1").value("committed", ""), "heartbeat");
    EXPECT_TRUE(rig.gateway.quiet());
}

TEST(Heartbeat, TurnsALateRefusalIntoAnErrorEvent) {
    HeartbeatRig rig(ScriptedBackend::always(json_response(
        {{"error", {{"message", "too long"}, {"type", "BadRequestError"}, {"code", 400}}}}, 400)));
    const auto answer = rig.answer_after_comments();
    EXPECT_EQ(answer.status(), 200);
    EXPECT_FALSE(answer.complete);
    EXPECT_NE(answer.body.find("\"message\":\"too long\""), std::string::npos) << answer.body;
    EXPECT_NE(answer.body.find("\"status\":400"), std::string::npos);
    EXPECT_EQ(answer.body.find("[DONE]"), std::string::npos);
}

TEST(Heartbeat, EndsInAnErrorEventWhenNobodyComes) {
    const ScriptedBackend backend(ScriptedBackend::answering(well_behaved));
    const GatewayProcess gateway(
        {.document = one_model(backend.url(), "queue: {timeout: 50ms, hold: 500ms}",
                               "heartbeat: {after: 100ms, every: 100ms}")});
    gateway.admin("POST", "/drain?backend=m1-pool&endpoint=" + backend.url());
    const auto answer = call(gateway.port(), post(kChat, chat("m1", true)));
    EXPECT_EQ(answer.status(), 200);
    EXPECT_FALSE(answer.complete);
    EXPECT_NE(answer.body.find("pool_starting"), std::string::npos) << answer.body;
    EXPECT_NE(answer.body.find("retry_after_ms"), std::string::npos);
    EXPECT_EQ(call(gateway.port(), post(kChat, chat("m1"))).status(), 503)
        << "who does not stream waits silently";
}

TEST(Hold, IsNotForModelsThatSayUnavailable) {
    const ScriptedBackend backend(ScriptedBackend::answering(well_behaved));
    const GatewayProcess gateway(
        {.document = one_model(backend.url(), {}, "unready: unavailable")});
    gateway.admin("POST", "/drain?backend=m1-pool&endpoint=" + backend.url());
    const auto answer = call(gateway.port(), post(kChat, chat("m1")));
    EXPECT_EQ(answer.status(), 503);
    EXPECT_EQ(answer.json()["error"]["code"], "no_ready_endpoint");
}

TEST(Hold, LetsGoOfAClientThatLeaves) {
    const Rig rig;
    rig.gateway.admin("POST", "/drain?" + drain_target(rig));
    RawClient client(rig.gateway.port());
    client.send(post(kChat, chat("m1"), {{"x-request-id", "left-in-line"}}));
    ASSERT_TRUE(eventually([&] { return queued(rig) == 1; }));
    const auto left = std::chrono::steady_clock::now();
    client.close();
    EXPECT_TRUE(eventually([&] { return queued(rig) == 0; }, 2s, 5ms));
    EXPECT_LE(since(left), 200ms * kSlowdown);
    EXPECT_EQ(rig.gateway.access_line("left-in-line").value("outcome", ""), "client_closed");
    rig.gateway.admin("POST", "/undrain?" + drain_target(rig));
    EXPECT_EQ(rig.chat_call(chat("m1")).status(), 200);
    EXPECT_EQ(rig.backend.request_count(), 1U) << "it never reached the backend";
}

TEST(Queue, NeverGivesAnEndpointMoreThanItsSlots) {
    std::atomic<int> running{0};
    std::atomic<int> most{0};
    const Rig rig(
        [&](BackendConnection& connection) {
            while (connection.read_request()) {
                const int now = ++running;
                int seen = most;
                while (seen < now && !most.compare_exchange_weak(seen, now)) {
                }
                std::this_thread::sleep_for(2ms);
                --running;
                if (!connection.send(json_response(chat_answer()))) {
                    return;
                }
            }
        },
        "slots_per_endpoint: 3");
    std::vector<RawClient> clients;
    for (int i = 0; i < 60; ++i) {
        clients.emplace_back(rig.gateway.port());
        ASSERT_TRUE(clients.back().send(post(kChat, chat("m1"))));
    }
    for (auto& client : clients) {
        const auto answer = client.read_response();
        ASSERT_TRUE(answer);
        EXPECT_EQ(answer->status(), 200);
    }
    EXPECT_LE(most, 3);
    EXPECT_TRUE(rig.gateway.quiet());
}

TEST(Queue, RefusesWhatItHasNoRoomForAndWhatWaitedTooLong) {
    Rig rig(on_command(), "slots_per_endpoint: 1, queue: {requests: 1, timeout: 300ms}");
    RawClient running(rig.gateway.port());
    running.send(post(kChat, chat("m1")));
    ASSERT_TRUE(rig.backend.wait_for_requests(1));
    RawClient waiting(rig.gateway.port());
    waiting.send(post(kChat, chat("m1")));
    ASSERT_TRUE(eventually([&] { return queued(rig) == 1; }));

    const auto full = rig.chat_call(chat("m1"));
    EXPECT_EQ(full.status(), 503);
    EXPECT_EQ(full.json()["error"]["code"], "queue_full");
    EXPECT_EQ(full.header("x-millrace-reason"), "saturated");
    EXPECT_NE(full.error_message().find("queue.requests"), std::string::npos);

    const auto late = waiting.read_response();
    ASSERT_TRUE(late);
    EXPECT_EQ(late->status(), 503);
    EXPECT_EQ(late->json()["error"]["code"], "queue_timeout");
    rig.backend.release("go");
    const auto answer = running.read_response();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status(), 200);
    EXPECT_TRUE(rig.gateway.quiet());
}

/// Two models on one pool: `urgent` goes before `usual`.
std::string two_bands(const std::string& url, std::string_view pool) {
    return "models:\n"
           "  - {id: usual, variants: [{name: only, backend: pool}]}\n"
           "  - {id: urgent, priority: 200, variants: [{name: only, backend: pool}]}\n"
           "backends:\n  pool: {endpoints: {static: [\"" +
           url + "\"]}, " + std::string(pool) + "}\n";
}

TEST(Queue, ServesTheHigherBandFirst) {
    ScriptedBackend backend(on_command());
    const GatewayProcess gateway({.document = two_bands(backend.url(), kOneSlot)});
    std::vector<RawClient> clients;
    const auto ask = [&](const char* model) {
        clients.emplace_back(gateway.port());
        clients.back().send(post(kChat, chat(model)));
        const auto sent = static_cast<double>(clients.size());
        return eventually([&] { return gateway.metrics().sum("millrace_load_requests") == sent; });
    };
    for (const auto* model : {"usual", "usual", "urgent", "usual", "urgent"}) {
        ASSERT_TRUE(ask(model));
    }
    backend.release("go");
    for (auto& client : clients) {
        ASSERT_TRUE(client.read_response());
    }
    std::vector<std::string> order;
    for (const auto& request : backend.requests()) {
        order.push_back(request.json().value("model", ""));
    }
    EXPECT_EQ(order, (std::vector<std::string>{"usual", "urgent", "urgent", "usual", "usual"}));
}

TEST(Queue, ShedsTheLowerBandWhenTheHigherOneNeedsTheRoom) {
    ScriptedBackend backend(on_command());
    const GatewayProcess gateway(
        {.document = two_bands(backend.url(), "slots_per_endpoint: 1, queue: {requests: 1}")});
    RawClient running(gateway.port());
    running.send(post(kChat, chat("usual")));
    ASSERT_TRUE(backend.wait_for_requests(1));
    RawClient low(gateway.port());
    low.send(post(kChat, chat("usual")));
    ASSERT_TRUE(eventually([&] { return gateway.metrics().sum("millrace_queued_requests") == 1; }));
    RawClient high(gateway.port());
    high.send(post(kChat, chat("urgent")));
    const auto shed = low.read_response();
    ASSERT_TRUE(shed);
    EXPECT_EQ(shed->status(), 503);
    EXPECT_EQ(shed->header("x-millrace-reason"), "shed");
    backend.release("go");
    const auto served = high.read_response();
    ASSERT_TRUE(served);
    EXPECT_EQ(served->status(), 200);
}

TEST(Queue, IsEmptiedWithTheDrainDeadline) {
    Rig rig(ScriptedBackend::answering(well_behaved), {},
            {.document = "drain: {deadline: 300ms}\n"});
    rig.gateway.admin("POST", "/drain?" + drain_target(rig));
    RawClient client(rig.gateway.port());
    client.send(post(kChat, chat("m1")));
    ASSERT_TRUE(eventually([&] { return queued(rig) == 1; }));
    EXPECT_EQ(rig.gateway.stop(), 3);
    const auto answer = client.read_response();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status(), 503);
    EXPECT_EQ(answer->header("x-millrace-reason"), "draining");
}

}  // namespace
}  // namespace millrace::test
