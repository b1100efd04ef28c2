// Traffic through gateway and simulated backend, judged by the oracle: a synthetic mix with faults
// and leaving clients, and a recorded trace, compressed in time.
#include <atomic>
#include <cstdlib>
#include <thread>

#include <gtest/gtest.h>

#include "tests/integration/rig.hpp"
#include "tests/support/oracle.hpp"
#include "tests/support/sim_process.hpp"
#include "tests/support/traces.hpp"

namespace millrace::test {
namespace {

struct Planned {
    std::chrono::microseconds at{};
    std::string id;
    bool stream = true;
    bool leaves = false;  ///< the client resets after the first events
    Headers controls;
};

/// Sends the requests at their times (late ones at once) over `threads` clients; every client
/// writes down what it saw.
std::vector<ClientLine> play(std::uint16_t port, const std::vector<Planned>& plan,
                             unsigned threads) {
    std::vector<ClientLine> lines(plan.size());
    std::atomic<std::size_t> next{0};
    const auto start = std::chrono::steady_clock::now();
    const auto client = [&] {
        for (std::size_t i = next++; i < plan.size(); i = next++) {
            const auto& planned = plan[i];
            std::this_thread::sleep_until(start + planned.at);
            auto headers = planned.controls;
            headers.emplace_back("x-request-id", planned.id);
            RawClient connection(port);
            connection.send(post(kChat, chat("m1", planned.stream), headers));
            if (planned.leaves) {
                connection.read_event("choices", 1s);
                connection.reset();
                lines[i] = {
                    .id = planned.id, .stream = planned.stream, .left = true, .content = {}};
            } else {
                const auto answer = connection.read_response(60s);
                lines[i] = client_line(planned.id, answer.value_or(Message{}), planned.stream);
            }
        }
    };
    std::vector<std::thread> clients;
    for (unsigned i = 0; i < threads; ++i) {
        clients.emplace_back(client);
    }
    for (auto& one : clients) {
        one.join();
    }
    return lines;
}

OracleReport run_and_judge(const std::vector<Planned>& plan, unsigned threads) {
    const SimProcess sim("m1");
    const GatewayProcess gateway({.document = one_model(sim.url())});
    const auto clients = play(gateway.port(), plan, threads);
    EXPECT_TRUE(gateway.quiet(2s * kSlowdown)) << "O4: a gauge is not zero";
    // The logs are complete when the backend's is, and the gateway is quiet.
    EXPECT_TRUE(eventually([&] { return sim.metrics().sum("vllm:num_requests_running") == 0; }));
    std::size_t lines = 0;
    eventually(
        [&] {
            const auto count = gateway.access_log().size() + sim.log().size();
            return std::exchange(lines, count) == count;
        },
        kPatience, 300ms);
    const auto access_log = gateway.access_log();
    auto report = judge(clients, access_log, sim.log());

    double prompt = 0;
    double completion = 0;
    for (const auto& line : access_log) {
        prompt += line.value("prompt_tokens", 0.0);
        completion += line.value("completion_tokens", 0.0);
    }
    const auto page = gateway.metrics();
    EXPECT_EQ(page.sum("millrace_tokens_total", {{"kind", "prompt"}}), prompt);
    EXPECT_EQ(page.sum("millrace_tokens_total", {{"kind", "completion"}}), completion);
    EXPECT_EQ(page.sum("millrace_tenant_tokens_total", {{"kind", "completion"}}), completion);
    EXPECT_EQ(page.sum("millrace_requests_total"), static_cast<double>(access_log.size()));
    return report;
}

TEST(Oracle, FindsNothingInAMixOfStreamsFaultsAndLeavingClients) {
    static constexpr std::array kFaults{"",
                                        "",
                                        "",
                                        "",
                                        "die@tokens=3",
                                        "rst@tokens=5",
                                        "die@start",
                                        "status=503",
                                        "error-event@tokens=2",
                                        "bad-chunk@tokens=4",
                                        "no-usage",
                                        "die@bytes=700"};
    std::vector<Planned> plan;
    for (std::size_t i = 0; i < 900; ++i) {
        Planned planned{.at = std::chrono::milliseconds(2 * i),
                        .id = "mix-" + std::to_string(i),
                        .stream = i % 5 != 0,
                        .leaves = i % 7 == 3,
                        .controls = {{"x-sim-tokens", std::to_string(1 + i % 40)},
                                     {"x-sim-prompt-tokens", std::to_string(10 + i)},
                                     {"x-sim-inter-token-ms", std::to_string(i % 3)}}};
        const std::string fault = kFaults.at(i % kFaults.size());
        if (!fault.empty()) {
            planned.controls.emplace_back("x-sim-fault", fault);
        }
        plan.push_back(std::move(planned));
    }
    const auto report = run_and_judge(plan, 24);
    EXPECT_TRUE(report.violations.empty()) << report.text();
    EXPECT_GT(report.completed, 300U) << report.text();
    EXPECT_GT(report.errors, 100U) << report.text();
    EXPECT_GT(report.exact, 300U) << report.text();
    EXPECT_GT(report.partial, 50U) << report.text();
}

TEST(Oracle, FindsNothingInARecordedTrace) {
    const auto directory = trace_directory(MILLRACE_SOURCE_DIR);
    if (!directory) {
        GTEST_SKIP() << "no traces: set MILLRACE_TRACES to a directory with azure2023/ in it";
    }
    const char* given = std::getenv("MILLRACE_REPLAY");
    const std::size_t count = given != nullptr ? std::stoul(given) : 2000;
    const auto trace =
        read_azure_trace(*directory / "azure2023" / "AzureLLMInferenceTrace_conv.csv.xz", count);
    ASSERT_EQ(trace.size(), count);
    // About 160 requests/s, whatever the recorded rate was; output is bounded so that two cores can
    // follow.
    const double compression =
        static_cast<double>(trace.back().at.count()) / (static_cast<double>(count) / 160.0 * 1e6);
    std::vector<Planned> plan;
    for (std::size_t i = 0; i < trace.size(); ++i) {
        const auto output =
            std::min<std::uint32_t>(std::max<std::uint32_t>(trace[i].output_tokens, 1), 60);
        plan.push_back({.at = std::chrono::microseconds(static_cast<std::int64_t>(
                            static_cast<double>(trace[i].at.count()) / compression)),
                        .id = "azure-" + std::to_string(i),
                        .stream = i % 4 != 0,
                        .leaves = i % 10 == 9,
                        .controls = {{"x-sim-tokens", std::to_string(output)},
                                     {"x-sim-prompt-tokens", std::to_string(std::max<std::uint32_t>(
                                                                 trace[i].prompt_tokens, 1))},
                                     {"x-sim-inter-token-ms", "1"}}});
    }
    const auto report = run_and_judge(plan, 48);
    EXPECT_TRUE(report.violations.empty()) << report.text();
    EXPECT_EQ(report.errors, 0U) << report.text();
    EXPECT_EQ(report.completed + report.left, count) << report.text();
}

}  // namespace
}  // namespace millrace::test
