// When a request is sent again and when it is not; readers that do not read.
#include <sys/socket.h>

#include <atomic>

#include <gtest/gtest.h>

#include "tests/integration/rig.hpp"
#include "tests/support/process_stats.hpp"

namespace millrace::test {
namespace {

std::string document_of(const std::string& first, const std::string& second,
                        std::string_view extra = {}) {
    std::string text =
        "models: [{id: m1, variants: [{name: s, backend: p}]}]\nbackends: {p: {endpoints: {static: "
        "[\"";
    text.append(first).append("\", \"").append(second).append("\"]}");
    if (!extra.empty()) {
        text.append(", ").append(extra);
    }
    return text.append("}}\n");
}

TEST(Retry, OnceWhenAKeptConnectionTurnsOutToBeDead) {
    // The backend closes after each answer without saying so: the classic keep-alive race, and a
    // request sent into it.
    const Rig rig(
        [](BackendConnection& connection) {
            if (const auto seen = connection.read_request()) {
                connection.send(well_behaved(*seen));
                // Stay until the next request has arrived, then drop it unanswered.
                connection.read_request();
                connection.reset();
            }
        },
        "idle_timeout: 60s", {.workers = 1});
    ASSERT_EQ(rig.chat_call(chat("m1")).status(), 200);
    EXPECT_EQ(rig.chat_call(chat("m1")).status(), 200)
        << "a stale connection became the client's problem";
    EXPECT_EQ(rig.backend.connections(), 2U);
    EXPECT_EQ(rig.backend.request_count(), 3U);
    EXPECT_EQ(rig.gateway.metrics().sum("millrace_retries_total", {{"reason", "stale_connection"}}),
              1);
    // One request of the client is one request in the books.
    EXPECT_EQ(rig.gateway.metrics().sum("millrace_requests_total"), 2);
}

TEST(Retry, TakesAFreshConnectionWhenSeveralKeptOnesAreDead) {
    // Six connections are kept; the backend will drop whatever comes next on any of them.
    constexpr std::size_t kKept = 6;
    std::atomic<std::size_t> first{0};
    ScriptedBackend backend([&](BackendConnection& connection) {
        const auto seen = connection.read_request();
        ++first;
        if (seen && (first > kKept || connection.wait_for("all"))) {
            connection.send(well_behaved(*seen));
            connection.read_request();
            connection.reset();
        }
    });
    const GatewayProcess gateway(
        {.document = one_model(backend.url(), "idle_timeout: 60s"), .workers = 1});
    const auto ask_at_once = [&] {
        std::vector<RawClient> clients;
        for (std::size_t i = 0; i < kKept; ++i) {
            clients.emplace_back(gateway.port()).send(post(kChat, chat("m1")));
        }
        if (first <= kKept) {
            EXPECT_TRUE(backend.wait_for_requests(kKept));
            backend.release("all");
        }
        for (auto& client : clients) {
            const auto answer = client.read_response();
            EXPECT_TRUE(answer && answer->status() == 200)
                << "stale connections became the client's problem: "
                << answer.value_or(Message{}).raw;
        }
    };
    ask_at_once();
    ASSERT_EQ(backend.connections(), kKept);
    EXPECT_EQ(call(gateway.port(), post(kChat, chat("m1"))).status(), 200)
        << "one dead connection was exchanged for another";
    EXPECT_EQ(backend.connections(), kKept + 1);
    ask_at_once();
    EXPECT_EQ(backend.connections(), 2 * kKept + 1);
    EXPECT_TRUE(eventually([&] {
        return gateway.metrics().sum("millrace_retries_total", {{"reason", "stale_connection"}}) ==
               kKept + 1;
    }));
}

TEST(Retry, NeverAfterTheFirstResponseByteOfAKeptConnection) {
    const Rig rig(
        [](BackendConnection& connection) {
            if (const auto seen = connection.read_request()) {
                connection.send(well_behaved(*seen));
                connection.read_request();
                connection.send("HTTP/1.1 2");
            }
        },
        "idle_timeout: 60s", {.workers = 1});
    ASSERT_EQ(rig.chat_call(chat("m1")).status(), 200);
    EXPECT_EQ(rig.chat_call(chat("m1")).status(), 502);
    EXPECT_EQ(rig.backend.request_count(), 2U);
}

TEST(Retry, NeverWhenAFreshConnectionIsClosedUnanswered) {
    const Rig rig([](BackendConnection& connection) { connection.read_request(); });
    EXPECT_EQ(rig.chat_call(chat("m1")).status(), 502);
    EXPECT_EQ(rig.backend.request_count(), 1U);
}

TEST(Retry, NeverForStoredOrBackgroundResponses) {
    for (const auto* key : {"store", "background"}) {
        const Rig rig(
            [](BackendConnection& connection) {
                if (connection.read_request()) {
                    connection.send(json_response({{"id", "resp_1"}}));
                    connection.read_request();
                    connection.reset();
                }
            },
            "idle_timeout: 60s", {.workers = 1});
        const auto ask = [&] {
            return call(rig.gateway.port(),
                        post("/v1/responses", {{"model", "m1"}, {"input", "x"}, {key, true}}));
        };
        ASSERT_EQ(ask().status(), 200);
        EXPECT_EQ(ask().status(), 502) << key << ": a request with an effect was sent twice";
        EXPECT_EQ(rig.backend.request_count(), 2U) << key;
    }
}

TEST(Retry, GoesToAnotherEndpointWhenOneCannotBeReached) {
    const ScriptedBackend alive(ScriptedBackend::answering(well_behaved));
    const auto dead = "http://" + loopback() + ':' + std::to_string(free_port());
    const GatewayProcess gateway({.document = document_of(dead, alive.url())});
    for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(call(gateway.port(), post(kChat, chat("m1", i % 2 == 0))).status(), 200) << i;
    }
    EXPECT_EQ(alive.request_count(), 20U);
    EXPECT_GE(gateway.metrics().sum("millrace_retries_total", {{"reason", "connect_failed"}}), 1);
}

TEST(Retry, EvictsAKeptConnectionThatTheBackendClosed) {
    const Rig rig(ScriptedBackend::answering(well_behaved), "idle_timeout: 60s", {.workers = 1});
    rig.chat_call(chat("m1"));
    const Rig closing(
        [](BackendConnection& connection) {
            if (const auto seen = connection.read_request()) {
                connection.send(well_behaved(*seen));
            }
        },
        "idle_timeout: 60s", {.workers = 1});
    for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(closing.chat_call(chat("m1")).status(), 200) << i;
    }
    EXPECT_EQ(closing.backend.request_count(), 20U);
}

TEST(Retry, EvictsAKeptConnectionOnWhichTheBackendSpoke) {
    std::atomic<int> poisoned{0};
    const Rig rig(
        [&](BackendConnection& connection) {
            while (const auto seen = connection.read_request()) {
                connection.send(json_response(chat_answer("mine")));
                connection.send(json_response(chat_answer("poison")));
                ++poisoned;
            }
        },
        "idle_timeout: 60s", {.workers = 1});
    for (int i = 0; i < 20; ++i) {
        const auto answer = rig.chat_call(chat("m1"));
        EXPECT_EQ(answer.json()["choices"][0]["message"]["content"], "mine") << i;
        // What the backend says after the next request was sent could not be told from its answer.
        ASSERT_TRUE(eventually([&] { return poisoned > i; }));
    }
    EXPECT_EQ(rig.backend.connections(), 20U);
}

TEST(SlowReader, StopsTheReadFromTheBackendAndIsCutOffWhenItStalls) {
    std::atomic<std::size_t> sent{0};
    const std::string piece(64 * 1024, 'x');
    const Rig rig(
        [&](BackendConnection& connection) {
            if (!connection.read_request()) {
                return;
            }
            connection.send(stream_head());
            for (int i = 0; i < 1600; ++i) {  // 100 MiB are there to be had
                if (!connection.send(chunk(event(chat_chunk(piece))), 60s)) {
                    return;
                }
                sent += piece.size();
            }
        },
        {}, {.document = "client_timeouts: {write_stall: 2s}\n"});
    const auto before = status_kib(rig.gateway.pid(), "VmRSS:");
    RawClient client(rig.gateway.port());
    client.limit_receive_buffer(16 * 1024);
    client.send(post(kChat, chat("m1", true), {{"x-request-id", "stalled-1"}}));
    const auto line = rig.gateway.access_line("stalled-1", 20s);
    ASSERT_TRUE(line.is_object()) << "a client that does not read was not cut off";
    EXPECT_EQ(line.value("outcome", ""), "client_closed");
    EXPECT_EQ(line.value("error", ""), "client_write_stalled");
    // The kernel's buffers take some megabytes on both sides; the gateway itself must hold next to
    // nothing.
    EXPECT_LT(sent.load(), 24U * 1024 * 1024);
    EXPECT_LT(status_kib(rig.gateway.pid(), "VmRSS:"), before + kMemoryMargin);
    EXPECT_TRUE(rig.gateway.quiet());
}

// The kernel reports room to write only when a third of its buffer is free, so a stall limit is a
// lowest rate, too.
TEST(SlowReader, IsCutOffAlsoWhenItReadsAByteNowAndThen) {
    const std::string piece(16 * 1024, 'x');
    const Rig rig(
        [&](BackendConnection& connection) {
            if (!connection.read_request()) {
                return;
            }
            connection.send(stream_head());
            while (connection.send(chunk(event(chat_chunk(piece))), 60s)) {
            }
            connection.wait_until_gone();
        },
        {}, {.document = "client_timeouts: {write_stall: 2s}\n"});
    RawClient client(rig.gateway.port());
    client.limit_receive_buffer(16 * 1024);
    client.send(post(kChat, chat("m1", true), {{"x-request-id", "drip-1"}}));
    char byte = 0;
    EXPECT_TRUE(eventually(
        [&] {
            static_cast<void>(::recv(client.socket().get(), &byte, 1, MSG_DONTWAIT));
            return rig.backend.gone_count() == 1;
        },
        20s * kSlowdown, 50ms))
        << "the backend is held for ever";
    EXPECT_EQ(rig.gateway.access_line("drip-1").value("error", ""), "client_write_stalled");
    EXPECT_TRUE(rig.gateway.quiet());
}

TEST(SlowReader, GetsEverythingWhenItReadsInTheEnd) {
    const std::string piece(32 * 1024, 'y');
    const Rig rig([&](BackendConnection& connection) {
        while (connection.read_request()) {
            connection.send(stream_head());
            for (int i = 0; i < 200; ++i) {
                connection.send(chunk(event(chat_chunk(piece))));
            }
            connection.send(chunk("data: [DONE]\n\n") + std::string(kLastChunk));
        }
    });
    RawClient client(rig.gateway.port());
    client.limit_receive_buffer(16 * 1024);
    client.send(post(kChat, chat("m1", true)));
    ASSERT_TRUE(client.read_until([](const Message&) { return true; }));
    // Others are served meanwhile.
    EXPECT_EQ(get(rig.gateway.port(), "/v1/models").status(), 200);
    const auto answer = client.read_response(30s);
    ASSERT_TRUE(answer);
    EXPECT_TRUE(answer->complete);
    EXPECT_EQ(judge_stream(answer->body).content.size(), 200 * piece.size());
}

TEST(SlowReader, OfOneKibibytePiecesLosesNothing) {
    const Rig rig(ScriptedBackend::always(chat_stream(500, true)));
    RawClient client(rig.gateway.port());
    client.send_in_pieces(post(kChat, chat("m1", true)));
    const auto answer = client.read_response();
    ASSERT_TRUE(answer && answer->complete);
    EXPECT_EQ(judge_stream(answer->body).events, 502U);
}

}  // namespace
}  // namespace millrace::test
