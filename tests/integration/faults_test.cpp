// Broken networks, seen from both sides of the real gateway: what the client gets is whole or says
// that it is not, and all is well again afterwards. Backends that die at every byte of an answer
// are in truncation_test.cpp.
#include <algorithm>
#include <csignal>

#include <gtest/gtest.h>

#include "tests/integration/crowd.hpp"
#include "tests/support/fault_proxy.hpp"
#include "tests/support/sim_process.hpp"

namespace millrace::test {
namespace {

/// The answer without what differs between two answers to the same request.
std::string comparable(const Message& answer) {
    std::string text = answer.start_line + '\n';
    for (const auto& [name, value] : answer.headers) {
        if (!same_name(name, "date")) {
            text.append(name).append(": ").append(value).append("\n");
        }
    }
    return text + answer.body;
}

TEST(Slicing, IntoOneByteSegmentsOnAllFourWaysChangesNothing) {
    const ScriptedBackend backend(ScriptedBackend::answering(well_behaved));
    FaultProxy upstream(backend.port());
    const GatewayProcess gateway({.document = one_model(upstream.url()), .workers = 1});
    FaultProxy downstream(gateway.port());
    for (const bool stream : {false, true}) {
        const auto ask = [&] {
            return call(downstream.port(),
                        post(kChat, chat("m1", stream),
                             {{"x-request-id", "sliced"},
                              {"traceparent", std::string("00-") + std::string(32, '1') + '-' +
                                                  std::string(16, '2') + "-01"}}));
        };
        const auto whole = ask();
        ASSERT_EQ(whole.status(), 200) << whole.raw;
        for (const auto pause : {0us, 100us}) {
            upstream.set(both_ways({.slice = 1, .slice_delay = pause}));
            downstream.set(both_ways({.slice = 1, .slice_delay = pause}));
            const auto sliced = ask();
            EXPECT_TRUE(sliced.complete);
            EXPECT_EQ(comparable(sliced), comparable(whole));
            const auto seen = backend.requests();
            EXPECT_EQ(seen.back().start_line, seen.front().start_line);
            EXPECT_EQ(seen.back().headers.size(), seen.front().headers.size());
            EXPECT_EQ(seen.back().json().value("stream", false), stream);
        }
        upstream.set({});
        downstream.set({});
    }
    EXPECT_LT(cpu_time(gateway.pid()), 5s * kSlowdown);
    EXPECT_TRUE(gateway.quiet());
}

/// Every `step`th byte of so many, and the last.
std::vector<std::size_t> offsets(std::size_t size, std::size_t step) {
    std::vector<std::size_t> all;
    for (std::size_t at = 0; at < size; at += step) {
        all.push_back(at);
    }
    all.push_back(size - 1);
    return all;
}

TEST(SlicedReset, OfTheAnswerAtAnyByteIsAnErrorAndOfTheRequestNeverReachesABackend) {
    const ScriptedBackend backend(ScriptedBackend::answering(well_behaved));
    FaultProxy proxy(backend.port());
    const GatewayProcess gateway({.document = one_model(proxy.url(), "max_idle_connections: 0")});
    const auto ask = [&] { return call(gateway.port(), post(kChat, chat("m1", true))); };
    ASSERT_EQ(ask().status(), 200);
    ASSERT_TRUE(proxy.wait_until_quiet()) << "or not all bytes are counted";
    const auto size = proxy.counters();
    for (const auto at : offsets(size.to_client, 23 / std::min(long_factor(), 23U))) {
        proxy.set({.to_client = {.slice = 1, .reset_after = at}});
        expect_not_whole(ask(), "answer reset at byte " + std::to_string(at) + ": ");
    }
    const auto whole = backend.request_count();
    for (const auto at : offsets(size.to_server, 17 / std::min(long_factor(), 17U))) {
        proxy.set({.to_server = {.slice = 1, .reset_after = at}});
        expect_not_whole(ask(), "request reset at byte " + std::to_string(at) + ": ");
    }
    EXPECT_EQ(backend.request_count(), whole);
    EXPECT_TRUE(proxy.wait_until_quiet());
    expect_settled(gateway);
}

TEST(SlicedReset, ByTheClientAtAnyByteLeavesNothingBehind) {
    const ScriptedBackend backend([](BackendConnection& connection) {
        if (connection.read_request()) {
            connection.send(StreamStart().token);
            connection.wait_until_gone();
        }
    });
    const GatewayProcess gateway({.document = one_model(backend.url())});
    FaultProxy proxy(gateway.port());
    const auto request = post(kChat, chat("m1", true));
    for (const auto at : offsets(request.size(), 29)) {
        proxy.set({.to_server = {.slice = 1, .reset_after = at}});
        EXPECT_EQ(call(proxy.port(), request).status(), 0) << at;
    }
    EXPECT_TRUE(proxy.wait_until_quiet());
    EXPECT_EQ(backend.request_count(), 0U);
    std::size_t gone = 0;
    for (std::size_t at = 0; at < StreamStart().token.size(); at += 29) {
        proxy.set({.to_client = {.slice = 1, .reset_after = at}});
        EXPECT_FALSE(call(proxy.port(), request).complete) << at;
        ++gone;
        ASSERT_TRUE(eventually([&] { return backend.gone_count() == gone; }))
            << "the backend goes on for a client that was reset at byte " << at;
    }
    expect_settled(gateway);
}

TEST(BlackHole, IsBoundedByTheFirstByteTimeoutAndHurtsNoOtherModel) {
    constexpr int kStuck = 50;
    const ScriptedBackend lost(ScriptedBackend::answering(well_behaved));
    const ScriptedBackend fine(ScriptedBackend::answering(well_behaved));
    const FaultProxy hole(lost.port(), both_ways({.swallow = true}));
    const GatewayProcess gateway({.document = "models:\n"
                                              "  - {id: m1, variants: [{name: s, backend: hole}]}\n"
                                              "  - {id: m2, variants: [{name: s, backend: fine}]}\n"
                                              "backends:\n"
                                              "  hole: {endpoints: {static: [\"" +
                                              hole.url() +
                                              "\"]}, timeouts: {first_byte: 1500ms}}\n"
                                              "  fine: {endpoints: {static: [\"" +
                                              fine.url() + "\"]}}\n"});
    const auto start = std::chrono::steady_clock::now();
    std::vector<RawClient> stuck;
    for (int i = 0; i < kStuck; ++i) {
        ASSERT_TRUE(stuck.emplace_back(gateway.port()).send(post(kChat, chat("m1", i % 2 == 0))));
    }
    ASSERT_TRUE(eventually([&] {
        return gateway.metrics().sum("millrace_in_flight_requests", {{"model", "m1"}}) == kStuck;
    }));
    for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(call(gateway.port(), post(kChat, chat("m2", i % 2 == 0))).status(), 200);
    }
    for (auto& client : stuck) {
        const auto answer = client.read_response();
        ASSERT_TRUE(answer);
        EXPECT_EQ(answer->status(), 504);
        EXPECT_EQ(answer->error_code(), "first_byte_timeout");
    }
    EXPECT_GE(since(start), 1500ms);
    EXPECT_LE(since(start), 4s * kSlowdown);
    EXPECT_TRUE(gateway.quiet());
    EXPECT_EQ(lost.request_count(), 0U);
    EXPECT_TRUE(hole.wait_until_quiet()) << "a connection that never answered was kept";
}

TEST(BlackHole, OfATlsHandshakeIsBoundedByTheConnectTimeout) {
    const ScriptedBackend backend([](BackendConnection& connection) {
        connection.wait_until_gone();  // it takes the hello and says nothing
    });
    const auto url = "https" + backend.url().substr(4);
    const GatewayProcess gateway(
        {.document = one_model(url, "tls: {verify: false}, timeouts: {connect: 200ms}",
                               "retry: {attempts: 2}")});
    const auto answer = call(gateway.port(), post(kChat, chat("m1", true)));
    EXPECT_EQ(answer.status(), 504) << answer.raw;
    EXPECT_EQ(answer.error_code(), "upstream_connect_timeout");
    EXPECT_TRUE(eventually([&] { return backend.gone_count() == 2; }));
    expect_settled(gateway);
}

TEST(FrozenBackend, IsATimeoutAndWorksAgainOnceItRuns) {
    const SimProcess sim("m1", {"--inter-token-ms", "10", "--tokens", "100000"});
    const GatewayProcess gateway(
        {.document = one_model(sim.url(), "timeouts: {first_byte: 500ms, idle: 500ms}")});
    RawClient client(gateway.port());
    client.send(post(kChat, chat("m1", true)));
    ASSERT_TRUE(client.read_until(
        [](const Message& answer) { return judge_stream(answer.body).events > 3; }));
    sim.signal(SIGSTOP);
    const auto cut = client.read_response();
    ASSERT_TRUE(cut);
    EXPECT_FALSE(cut->complete);
    EXPECT_EQ(judge_stream(cut->body).error_code, "idle_timeout");
    EXPECT_FALSE(judge_stream(cut->body).done);
    // The kernel still accepts for a process that is stopped.
    auto brief = chat("m1");
    brief["max_tokens"] = 1;
    const auto refused = call(gateway.port(), post(kChat, brief));
    EXPECT_EQ(refused.status(), 504) << refused.raw;
    EXPECT_EQ(refused.error_code(), "first_byte_timeout");
    EXPECT_TRUE(gateway.quiet());
    sim.signal(SIGCONT);
    EXPECT_TRUE(
        eventually([&] { return call(gateway.port(), post(kChat, brief)).status() == 200; }));
    EXPECT_TRUE(gateway.quiet());
}

TEST(HalfClose, ByTheBackendEndsTheAnswerAndTheConnection) {
    const auto whole = chat_stream(3, true);
    const Rig rig([&](BackendConnection& connection) {
        if (const auto seen = connection.read_request()) {
            connection.send(std::string_view(whole).substr(0, std::stoul(seen->header("x-cut"))));
            connection.half_close();
            connection.wait_until_gone();
        }
    });
    std::size_t cuts = 0;
    for (std::size_t offset = 0; offset < whole.size(); offset += 41) {
        const auto answer = rig.chat_call(chat("m1", true), {{"x-cut", std::to_string(offset)}});
        expect_not_whole(answer, "at byte " + std::to_string(offset) + ": ");
        ++cuts;
        ASSERT_TRUE(eventually([&] { return rig.backend.gone_count() == cuts; }))
            << "the backend's open half was left alone at byte " << offset;
    }
    EXPECT_EQ(rig.backend.connections(), cuts);
    EXPECT_TRUE(rig.gateway.quiet());
}

TEST(HalfOpen, BackendWhoseDeathNobodyHearsOfIsAnIdleTimeout) {
    const ScriptedBackend backend(ScriptedBackend::once_then_close(StreamStart().token));
    const FaultProxy proxy(backend.port(), {.to_client = {.half_open = true}});
    const GatewayProcess gateway({.document = one_model(proxy.url(), "timeouts: {idle: 400ms}")});
    const auto answer = call(gateway.port(), post(kChat, chat("m1", true)));
    expect_not_whole(answer, {});
    EXPECT_EQ(judge_stream(answer.body).content, "t0 ");
    EXPECT_EQ(judge_stream(answer.body).error_code, "idle_timeout");
    EXPECT_TRUE(proxy.wait_until_quiet());
}

TEST(SlowClose, DoesNotHoldUpAnAnswerWithALength) {
    // The backend is gone after each answer, and the gateway hears of it much later: in between
    // the connection looks as if it could be used again.
    const ScriptedBackend backend(ScriptedBackend::once_then_close(json_response(chat_answer())));
    const FaultProxy proxy(backend.port(), {.to_client = {.slow_close = 60s}});
    const GatewayProcess gateway(
        {.document = one_model(proxy.url(), "idle_timeout: 120s"), .workers = 1});
    for (int i = 0; i < 10; ++i) {
        const auto answer = call(gateway.port(), post(kChat, chat("m1")), 5s);
        EXPECT_EQ(answer.status(), 200) << i << answer.raw;
        EXPECT_EQ(answer.json(), chat_answer());
    }
    EXPECT_EQ(backend.request_count(), 10U);
}

TEST(SlowClose, IsWaitedForWhenItIsTheEndOfTheAnswer) {
    const ScriptedBackend backend(ScriptedBackend::once_then_close(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + chat_answer().dump()));
    const FaultProxy proxy(backend.port(), {.to_client = {.slow_close = 300ms}});
    const GatewayProcess gateway({.document = one_model(proxy.url())});
    const auto start = std::chrono::steady_clock::now();
    const auto answer = call(gateway.port(), post(kChat, chat("m1")));
    EXPECT_GE(since(start), 300ms);
    EXPECT_TRUE(answer.complete);
    EXPECT_EQ(answer.json(), chat_answer());
}

TEST(KeepAliveRace, WithABackendThatClosesIdleConnectionsIsNoClientsError) {
    const SimProcess sim("m1", {"--idle-close-ms", "1:300"});
    // A FIN and a request are under way for so long that they often cross.
    const FaultProxy upstream(sim.port(), both_ways({.latency = 10ms}));
    const GatewayProcess gateway(
        {.document = one_model(upstream.url(), "idle_timeout: 60s"), .workers = 1});
    // The delay of the first byte makes the requests sparse.
    const FaultProxy downstream(gateway.port(), {.to_server = {.jitter = 150ms}});
    constexpr unsigned kAtOnce = 8;
    const unsigned rounds = 12 * long_factor();
    const unsigned requests = rounds * kAtOnce;
    for (unsigned round = 0; round < rounds; ++round) {
        std::vector<RawClient> clients;
        for (unsigned i = 0; i < kAtOnce; ++i) {
            clients.emplace_back(downstream.port()).send(post(kChat, chat("m1", i % 2 == 0)));
        }
        for (auto& client : clients) {
            const auto answer = client.read_response().value_or(Message{});
            EXPECT_EQ(answer.status(), 200) << round << ": " << answer.raw;
            EXPECT_TRUE(answer.complete) << round;
        }
    }
    EXPECT_GT(upstream.counters().accepted, 5U) << "hardly any connection was closed";
    EXPECT_LT(upstream.counters().accepted, requests) << "hardly any connection was reused";
    EXPECT_TRUE(
        eventually([&] { return gateway.metrics().sum("millrace_requests_total") == requests; }));
}

}  // namespace
}  // namespace millrace::test
