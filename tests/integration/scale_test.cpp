// A pool that grows from nothing, and a split that is changed, while requests wait and run: no
// endpoint is met by a herd, no request is lost, and each goes where the weights of its time say.
#include <array>
#include <atomic>
#include <cmath>
#include <set>
#include <thread>

#include <gtest/gtest.h>

#include "tests/integration/crowd.hpp"

namespace millrace::test {
namespace {

/// A backend that knows how much it ever had to do at once.
struct Counting {
    std::atomic<int> running{0};
    std::atomic<int> most{0};
    ScriptedBackend backend{[this](BackendConnection& connection) {
        while (const auto seen = connection.read_request()) {
            const int now = ++running;
            int known = most;
            while (known < now && !most.compare_exchange_weak(known, now)) {
            }
            std::this_thread::sleep_for(2ms);
            --running;
            if (!connection.send(well_behaved(*seen))) {
                return;
            }
        }
    }};
};

TEST(WakingUp, FromNoneToOneToEightServesTheWholeLineWithoutAHerd) {
    const std::size_t waiting = std::min(300 * long_factor(), 2'000U);
    constexpr int kSlots = 4;
    std::array<Counting, 8> pool;
    std::vector<std::string> urls;
    for (const auto& one : pool) {
        urls.push_back(one.backend.url());
    }
    const GatewayProcess gateway(
        {.document = one_pool(urls, "slots_per_endpoint: 4, queue: {requests: " +
                                        std::to_string(waiting) + ", hold: 60s}")});
    set_draining(gateway, urls, true);
    std::vector<RawClient> clients;
    for (std::size_t i = 0; i < waiting; ++i) {
        clients.emplace_back(gateway.port())
            .send(last_request("w-" + std::to_string(i), chat("m1", i % 2 == 0)));
    }
    ASSERT_TRUE(eventually([&] {
        return gateway.metrics().sum("millrace_queued_requests") == static_cast<double>(waiting);
    }));
    const auto over = call(gateway.port(), post(kChat, chat("m1")));
    EXPECT_EQ(over.status(), 503);
    EXPECT_EQ(over.error_code(), "queue_full");

    set_draining(gateway, {urls[0]}, false);
    ASSERT_TRUE(eventually([&] { return pool[0].backend.request_count() > 20; }));
    set_draining(gateway, urls, false);
    for (std::size_t i = 0; i < waiting; ++i) {
        EXPECT_EQ(only_answer(clients[i], std::to_string(i)).status(), 200);
    }
    std::vector<std::string> ids;
    for (const auto& one : pool) {
        EXPECT_LE(one.most, kSlots);
        EXPECT_GT(one.backend.request_count(), 0U);
        const auto more = ids_of(one.backend.requests());
        ids.insert(ids.end(), more.begin(), more.end());
    }
    EXPECT_EQ(ids.size(), waiting);
    EXPECT_EQ(repeated(ids), std::set<std::string>{});
    const auto page = gateway.metrics();
    EXPECT_EQ(page.sum("millrace_queue_wait_seconds_count"), static_cast<double>(waiting));
    EXPECT_EQ(page.sum("millrace_queue_wait_seconds_bucket", {{"le", "0.0001"}}), 0);
    expect_settled(gateway);
}

TEST(Weights, SwitchedUnderLoadDecideFromThenOnAndFailNothing) {
    const ScriptedBackend stable(ScriptedBackend::answering(well_behaved));
    const ScriptedBackend canary(ScriptedBackend::answering(well_behaved));
    const auto document = [&](int weight) {
        return "models: [{id: m1, variants: [{name: s, weight: " + std::to_string(100 - weight) +
               ", backend: a}, {name: c, weight: " + std::to_string(weight) +
               ", backend: b}]}]\nbackends: {a: {endpoints: {static: [\"" + stable.url() +
               "\"]}}, b: {endpoints: {static: [\"" + canary.url() + "\"]}}}\n";
    };
    GatewayProcess gateway({.document = document(0)});
    Load load(gateway.port(), 2, {}, [](const ClientLine& line, const Message& answer) {
        EXPECT_TRUE(is_good(line)) << answer.raw;
    });
    const int each = 120 * static_cast<int>(long_factor());
    for (const int weight : {0, 1, 50, 100, 1, 0}) {
        gateway.write_document(document(weight));
        EXPECT_TRUE(gateway.reload());
        const auto tag = "phase-" + std::to_string(weight);
        const auto of_phase = [&](const ScriptedBackend& backend) {
            return std::ranges::count_if(backend.requests(), [&](const Message& seen) {
                return seen.header("x-phase") == tag;
            });
        };
        const auto before = of_phase(canary);
        for (int i = 0; i < each; ++i) {
            ASSERT_EQ(call(gateway.port(), post(kChat, chat("m1"), {{"x-phase", tag}})).status(),
                      200);
        }
        const double share = weight / 100.0;
        const double sigma = std::sqrt(each * share * (1 - share));
        EXPECT_NEAR(static_cast<double>(of_phase(canary) - before), each * share, 3 * sigma)
            << weight;
    }
    load.stop();
    expect_settled(gateway);
}

}  // namespace
}  // namespace millrace::test
