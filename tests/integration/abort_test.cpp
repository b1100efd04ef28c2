// A client that leaves is felt by the backend within 100 ms, in every phase, and leaves nothing
// behind.
#include <cstdlib>
#include <thread>

#include <gtest/gtest.h>

#include "tests/integration/rig.hpp"
#include "tests/support/process_stats.hpp"
#include "tests/support/sim_process.hpp"

namespace millrace::test {
namespace {

constexpr Millis kFelt = 100ms * kSlowdown;

enum class Leave { reset, close, half_close };

void leave(RawClient& client, Leave how) {
    switch (how) {
        case Leave::reset: client.reset(); break;
        case Leave::close: client.close(); break;
        case Leave::half_close: client.half_close(); break;
    }
}

/// Asks, waits until the backend has done `before`, leaves, and returns how long the backend took
/// to notice.
struct AbortCase {
    const char* name;
    bool stream;
    std::string sent;  ///< what the backend sends before it goes silent
    const char*
        wait_for;  ///< event that the client waits for; empty = only for the request to arrive
    Leave how;
};

class Abort : public testing::TestWithParam<AbortCase> {};

TEST_P(Abort, IsFeltByTheBackendWithin100Milliseconds) {
    const auto& param = GetParam();
    const Rig rig([&param](BackendConnection& connection) {
        if (connection.read_request()) {
            connection.send(param.sent);
            connection.wait_until_gone();
        }
    });
    RawClient client(rig.gateway.port());
    ASSERT_TRUE(
        client.send(post(kChat, chat("m1", param.stream), {{"x-request-id", "aborted-1"}})));
    ASSERT_TRUE(rig.backend.wait_for_requests(1));
    if (*param.wait_for != '\0') {
        ASSERT_TRUE(client.read_event(param.wait_for));
    }
    const auto left = std::chrono::steady_clock::now();
    leave(client, param.how);
    ASSERT_TRUE(eventually([&] { return rig.backend.gone_count() == 1; }, 5s));
    const auto felt = std::chrono::duration_cast<Millis>(*rig.backend.gone_at() - left);
    EXPECT_LE(felt, kFelt);
    EXPECT_TRUE(rig.gateway.quiet());
    const auto line = rig.gateway.access_line("aborted-1");
    ASSERT_TRUE(line.is_object());
    EXPECT_EQ(line.value("outcome", ""), "client_closed");
}

std::vector<AbortCase> abort_cases() {
    const StreamStart start;
    return {
        {"WaitingHeadReset", false, "", "", Leave::reset},
        {"WaitingHeadClose", false, "", "", Leave::close},
        {"WaitingHeadHalfClose", false, "", "", Leave::half_close},
        {"WaitingHeadOfStreamClose", true, "", "", Leave::close},
        {"BeforeFirstEventClose", true, start.head, "", Leave::close},
        {"BeforeFirstTokenReset", true, start.role, "assistant", Leave::reset},
        {"BeforeFirstTokenClose", true, start.role, "assistant", Leave::close},
        {"MidStreamReset", true, start.token, "t0 ", Leave::reset},
        {"MidStreamClose", true, start.token, "t0 ", Leave::close},
        {"MidStreamHalfClose", true, start.token, "t0 ", Leave::half_close},
        {"MidBodyClose", false, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc", "",
         Leave::close},
    };
}

INSTANTIATE_TEST_SUITE_P(Phases, Abort, testing::ValuesIn(abort_cases()),
                         [](const auto& info) { return info.param.name; });

TEST(AbortWhileConnecting, LeavesNothingBehind) {
    const NeverAccepting backend;
    const GatewayProcess gateway(
        {.document = one_model(backend.url(), "timeouts: {connect: 30s}")});
    RawClient client(gateway.port());
    client.send(post(kChat, chat("m1"), {{"x-request-id", "connecting-1"}}));
    ASSERT_TRUE(
        eventually([&] { return gateway.metrics().sum("millrace_in_flight_requests") == 1; }));
    const auto left = std::chrono::steady_clock::now();
    client.reset();
    EXPECT_TRUE(
        eventually([&] { return gateway.metrics().sum("millrace_load_requests") == 0; }, 2s, 5ms));
    EXPECT_LE(since(left), kFelt + 100ms);
    EXPECT_EQ(gateway.access_line("connecting-1").value("outcome", ""), "client_closed");
}

TEST(AbortWhileUploading, NeverReachesABackend) {
    const Rig rig;
    RawClient client(rig.gateway.port());
    client.send(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        "Content-Length: 1000\r\n\r\n{\"model\":\"m1\"");
    client.reset();
    EXPECT_EQ(rig.chat_call(chat("m1")).status(), 200);
    EXPECT_EQ(rig.backend.request_count(), 1U);
    EXPECT_TRUE(rig.gateway.quiet());
}

std::size_t storm_size() {
    const char* given = std::getenv("MILLRACE_STORM");
    return given != nullptr ? std::stoul(given) : 3000;
}

/// One client's part of the storm: ask, maybe read a little, leave in one of three ways.
void storm(std::uint16_t port, std::size_t count, unsigned seed) {
    for (std::size_t i = 0; i < count; ++i) {
        seed = seed * 1664525 + 1013904223;
        const bool stream = (seed >> 8) % 4 != 0;
        RawClient client(port);
        client.send(
            post(kChat, chat("m1", stream),
                 {{"x-sim-tokens", "40"}, {"x-sim-ttft-ms", "5"}, {"x-sim-inter-token-ms", "2"}}));
        switch ((seed >> 16) % 4) {
            case 0: client.reset(); break;
            case 1:
                client.read_until([](const Message&) { return true; }, Millis(seed >> 28));
                break;
            case 2: client.read_event("choices", 50ms); break;
            default: client.read_response(Millis((seed >> 24) % 60)); break;
        }
        if ((seed >> 20) % 2 == 0) {
            client.reset();
        }
    }
}

TEST(AbortStorm, LeavesAllGaugesAtZeroAndEveryRequestAccountedFor) {
    const SimProcess sim("m1");
    const GatewayProcess gateway({.document = one_model(sim.url())});
    ASSERT_EQ(call(gateway.port(), post(kChat, chat("m1"))).status(), 200);
    const auto files_before = open_descriptors(gateway.pid());
    const std::size_t threads = 8;
    const std::size_t each = storm_size() / threads;
    std::vector<std::thread> clients;
    for (unsigned i = 0; i < threads; ++i) {
        clients.emplace_back([&, i] { storm(gateway.port(), each, i * 7919 + 1); });
    }
    for (auto& one : clients) {
        one.join();
    }
    EXPECT_TRUE(gateway.quiet(2s * kSlowdown));
    EXPECT_EQ(call(gateway.port(), post(kChat, chat("m1"))).status(), 200);
    for (const auto& sample : gateway.metrics().samples()) {
        EXPECT_GE(sample.value, 0) << sample.name;
    }
    EXPECT_TRUE(
        eventually([&] { return gateway.metrics().sum("millrace_buffered_bytes") == 0; }, 2s));
    // Requests that were reset before the gateway had read them do not exist; all others have ended
    // exactly once.
    EXPECT_TRUE(eventually([&] {
        return gateway.metrics().sum("millrace_requests_total") ==
               static_cast<double>(gateway.access_log().size());
    })) << gateway.metrics().sum("millrace_requests_total")
        << " requests are counted, " << gateway.access_log().size() << " logged";
    EXPECT_TRUE(eventually([&] { return open_descriptors(gateway.pid()) <= files_before + 70; }))
        << open_descriptors(gateway.pid()) << " files are open, before it were " << files_before;
    EXPECT_TRUE(eventually([&] { return sim.metrics().sum("vllm:num_requests_running") == 0; }))
        << "the backend still works for clients that have left";
}

}  // namespace
}  // namespace millrace::test
