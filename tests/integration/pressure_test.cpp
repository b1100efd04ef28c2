// More than the gateway can take, by accident or on purpose: descriptors, memory, clients that send
// or read slowly, a model that wakes up to a crowd. It refuses early, stays within its bounds,
// serves the others meanwhile, and recovers by itself.
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "tests/integration/crowd.hpp"

namespace millrace::test {
namespace {

TEST(Descriptors, RunningOutNeitherSpinsNorHangsAndPasses) {
    const Rig rig(ScriptedBackend::answering(well_behaved), "max_idle_connections: 0",
                  {.workers = 1});
    RawClient early(rig.gateway.port());
    early.send(post(kChat, chat("m1")));
    ASSERT_EQ(early.read_response()->status(), 200);
    const auto before = open_descriptors(rig.gateway.pid());
    const rlimit few{64, 64};
    ASSERT_EQ(::prlimit(rig.gateway.pid(), RLIMIT_NOFILE, &few, nullptr), 0);

    std::vector<RawClient> storm;
    for (int i = 0; i < 200; ++i) {
        ASSERT_TRUE(storm.emplace_back(rig.gateway.port()).connected());
    }
    ASSERT_TRUE(eventually([&] { return open_descriptors(rig.gateway.pid()) >= 63; }));
    const auto cpu_before = cpu_time(rig.gateway.pid());
    const auto start = std::chrono::steady_clock::now();
    // A request that would need another descriptor is refused, not left waiting.
    early.send(post(kChat, chat("m1")));
    const auto refused = early.read_response();
    ASSERT_TRUE(refused);
    EXPECT_GE(refused->status(), 500) << refused->raw;
    EXPECT_TRUE(refused->complete);
    const auto told = [&] {
        return std::ranges::any_of(storm, [](RawClient& client) {
            const auto answer = client.read_response(0ms);
            return answer && answer->status() == 503;
        });
    };
    EXPECT_TRUE(eventually(told)) << "nobody was told that the gateway is out of descriptors";
    eventually([&] { return since(start) >= 1s; });
    EXPECT_LE(cpu_time(rig.gateway.pid()) - cpu_before, since(start) / 4)
        << "the gateway spins while it is out of descriptors";

    storm.clear();
    EXPECT_TRUE(eventually(
        [&] { return call(rig.gateway.port(), post(kChat, chat("m1"))).status() == 200; }));
    EXPECT_TRUE(eventually([&] { return open_descriptors(rig.gateway.pid()) <= before; }));
    EXPECT_TRUE(rig.gateway.quiet());
}

/// Head of a chat request with a body of `size` bytes, and the body itself.
std::string upload_head(std::size_t size) {
    return "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
           "Connection: close\r\nContent-Length: " +
           std::to_string(size) + "\r\n\r\n";
}
std::string body_of(std::size_t size) {
    auto body = chat("m1");
    body["padding"] = "";
    body["padding"] = std::string(size - body.dump().size(), 'x');
    return body.dump();
}

TEST(Memory, OfBodiesIsBoundedAndWhatIsOverItIsRefusedBeforeItIsRead) {
    constexpr std::size_t kBody = 512 * 1024;
    constexpr std::size_t kFit = 8;
    const Rig rig(ScriptedBackend::answering(well_behaved), {},
                  {.document = "limits: {body: 1MiB, buffered_bytes: 4MiB}\n"});
    const auto before = status_kib(rig.gateway.pid(), "VmHWM:");
    const auto body = body_of(kBody);
    for (unsigned round = 0; round < 2; ++round) {
        std::vector<RawClient> clients;
        for (std::size_t i = 0; i < 2 * kFit; ++i) {
            auto& client = clients.emplace_back(rig.gateway.port());
            ASSERT_TRUE(client.send(upload_head(kBody)));
            // Half of the body, so that all are under way at the same time.
            if (i < kFit) {
                ASSERT_TRUE(client.send(std::string_view(body).substr(0, kBody / 2)));
                ASSERT_TRUE(eventually([&] {
                    return rig.gateway.metrics().sum("millrace_buffered_bytes") >=
                           static_cast<double>((i + 1) * kBody);
                }));
            }
        }
        for (std::size_t i = kFit; i < 2 * kFit; ++i) {
            const auto refused = only_answer(clients[i], std::to_string(i));
            EXPECT_EQ(refused.status(), 503) << refused.raw;
            EXPECT_EQ(refused.error_code(), "server_overloaded");
            EXPECT_TRUE(refused.has("retry-after"));
        }
        for (std::size_t i = 0; i < kFit; ++i) {
            ASSERT_TRUE(clients[i].send(std::string_view(body).substr(kBody / 2)));
            EXPECT_EQ(only_answer(clients[i], std::to_string(i)).status(), 200);
        }
        expect_settled(rig.gateway);
    }
    EXPECT_LT(status_kib(rig.gateway.pid(), "VmHWM:"), before + 4 * 1024 * 13 / 10 + kMemoryMargin);
}

TEST(SlowBodies, OfManyClientsEndAndHurtNobodyElse) {
    constexpr std::size_t kSlow = 100;
    const Rig rig(ScriptedBackend::answering(well_behaved), {},
                  {.document = "client_timeouts: {body_grace: 600ms, body_rate: 1KiB}\n"});
    std::vector<RawClient> slow;
    for (std::size_t i = 0; i < kSlow; ++i) {
        ASSERT_TRUE(slow.emplace_back(rig.gateway.port()).send(upload_head(100'000)));
    }
    const auto start = std::chrono::steady_clock::now();
    std::atomic<bool> over{false};
    std::thread drip([&] {
        while (!over) {
            for (auto& client : slow) {
                client.send(" ");
            }
            eventually([&] { return over.load(); }, 50ms);
        }
    });
    while (since(start) < 500ms) {
        EXPECT_EQ(call(rig.gateway.port(), post(kChat, chat("m1", true)), 2s).status(), 200);
    }
    for (std::size_t i = 0; i < kSlow; ++i) {
        const auto answer = slow[i].read_final_response();
        ASSERT_TRUE(answer) << i;
        EXPECT_EQ(answer->status(), 408) << answer->raw;
        EXPECT_EQ(answer->error_code(), "body_timeout");
    }
    EXPECT_LT(since(start), 3s * kSlowdown);
    over = true;
    drip.join();
    slow.clear();
    expect_settled(rig.gateway);
}

/// An endless stream for the first request, an ordinary answer for every other.
ScriptedBackend::Script endless_first() {
    return [](BackendConnection& connection) {
        while (const auto seen = connection.read_request()) {
            if (seen->header("x-endless").empty()) {
                connection.send(well_behaved(*seen));
                continue;
            }
            connection.send(stream_head());
            const auto piece = chunk(event(chat_chunk(std::string(32 * 1024, 'x'))));
            while (connection.send(piece)) {
            }
            return;
        }
    };
}

TEST(StalledReader, GivesItsSlotToThoseWhoWaitOnceItIsCutOff) {
    constexpr std::size_t kWaiting = 30;
    const Rig rig(endless_first(), "slots_per_endpoint: 1",
                  {.document = "client_timeouts: {write_stall: 700ms}\n"});
    RawClient stalled(rig.gateway.port());
    stalled.limit_receive_buffer(16 * 1024);
    stalled.send(last_request("stalled", chat("m1", true), {{"x-endless", "1"}}));
    ASSERT_TRUE(rig.backend.wait_for_requests(1));
    std::vector<RawClient> waiting;
    for (std::size_t i = 0; i < kWaiting; ++i) {
        waiting.emplace_back(rig.gateway.port())
            .send(last_request("waits-" + std::to_string(i), chat("m1", i % 2 == 0)));
    }
    ASSERT_TRUE(eventually(
        [&] { return rig.gateway.metrics().sum("millrace_queued_requests") == kWaiting; }));
    for (std::size_t i = 0; i < kWaiting; ++i) {
        EXPECT_EQ(only_answer(waiting[i], std::to_string(i)).status(), 200);
    }
    EXPECT_EQ(rig.gateway.access_line("stalled").value("error", ""), "client_write_stalled");
    EXPECT_EQ(rig.backend.request_count(), kWaiting + 1);
    expect_settled(rig.gateway);
}

TEST(StalledReaders, InACrowdCostLittleMemoryAndNobodyElsesTime) {
    constexpr std::size_t kStalled = 100;
    const Rig rig(endless_first());
    const auto before = status_kib(rig.gateway.pid(), "VmRSS:");
    std::vector<RawClient> stalled;
    for (std::size_t i = 0; i < kStalled; ++i) {
        auto& client = stalled.emplace_back(rig.gateway.port());
        client.limit_receive_buffer(16 * 1024);
        ASSERT_TRUE(client.send(post(kChat, chat("m1", true), {{"x-endless", "1"}})));
    }
    ASSERT_TRUE(rig.backend.wait_for_requests(kStalled));
    for (int i = 0; i < 30; ++i) {
        EXPECT_EQ(call(rig.gateway.port(), post(kChat, chat("m1", i % 2 == 0)), 5s).status(), 200);
    }
    EXPECT_LT(status_kib(rig.gateway.pid(), "VmRSS:"),
              before + kStalled * 128 * 11 / 10 + kMemoryMargin);
    stalled.clear();
    expect_settled(rig.gateway);
    EXPECT_TRUE(eventually([&] { return rig.backend.open_connections() <= 2; }))
        << "a backend still works for a client that never read";
}

}  // namespace
}  // namespace millrace::test
