// Clients of every kind against three backends on a network that breaks in every way at random, for
// 4 s times MILLRACE_LONG. The seed is printed; MILLRACE_SEED gives it back.
#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <map>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>

#include <gtest/gtest.h>

#include "config/base/random.hpp"
#include "tests/integration/chaos.hpp"
#include "tests/integration/crowd.hpp"
#include "tests/support/fault_proxy.hpp"

namespace millrace::test {
namespace {

std::uint64_t seed() {
    const char* given = std::getenv("MILLRACE_SEED");
    return given != nullptr ? std::stoull(given)
                            : static_cast<std::uint64_t>(
                                  std::chrono::system_clock::now().time_since_epoch().count());
}

/// Clients that ask, read, dawdle and leave.
class Clients {
public:
    /// Some go through `broken`, and count as having left when that was their end.
    Clients(std::uint16_t port, std::uint16_t broken, std::uint64_t seed)
        : port_(port), broken_(broken) {
        for (unsigned i = 0; i < kThreads; ++i) {
            threads_.emplace_back([this, i, seed] { run(i, seed * kThreads + i); });
        }
    }
    std::vector<ClientLine> stop() {
        stop_ = true;
        for (auto& thread : threads_) {
            thread.join();
        }
        return std::move(lines_);
    }

private:
    static constexpr unsigned kThreads = 12;

    void run(unsigned thread, std::uint64_t seed) {
        Random random(seed);
        std::optional<RawClient> kept;  // a connection for more than one request
        for (unsigned i = 0; !stop_; ++i) {
            const auto id = "soak-" + std::to_string(thread) + '-' + std::to_string(i);
            const auto line = random.below(3) == 0 ? ask_on(kept, id, random) : ask(id, random);
            const std::lock_guard lock(mutex_);
            lines_.push_back(line);
        }
    }

    struct Question {
        bool stream;
        Headers headers;
    };
    static Question question(const std::string& id, Random& random) {
        return {.stream = random.below(4) != 0,
                .headers = {{"x-request-id", id},
                            {"x-sim-tokens", std::to_string(1 + random.below(60))},
                            {"x-sim-prompt-tokens", std::to_string(1 + random.below(900))},
                            {"x-sim-ttft-ms", std::to_string(random.below(20))},
                            {"x-sim-inter-token-ms", std::to_string(random.below(4))}}};
    }

    /// One more request on a connection that lives as long as its answers are whole.
    ClientLine ask_on(std::optional<RawClient>& kept, const std::string& id, Random& random) const {
        const auto [stream, headers] = question(id, random);
        if (!kept) {
            kept.emplace(port_);
        }
        kept->send(post(kChat, chat("m1", stream), headers));
        const auto answer = kept->read_final_response(30s).value_or(Message{});
        EXPECT_EQ(answer.header("x-request-id"), id) << "somebody else's answer: " << answer.raw;
        if (!answer.complete || answer.header("connection") == "close") {
            kept.reset();
        }
        return client_line(id, answer, stream);
    }

    ClientLine ask(const std::string& id, Random& random) const {
        auto [stream, headers] = question(id, random);
        headers.emplace_back("connection", "close");
        const auto bytes = post(kChat, chat("m1", stream), headers);
        const bool through_broken = random.below(5) == 0;
        RawClient client(through_broken ? broken_ : port_);
        if (random.below(8) == 0) {
            client.send_in_pieces(bytes, 1 + random.below(50));
        } else {
            client.send(bytes);
        }
        if (random.below(8) == 0) {
            client.read_event("choices", Millis(random.below(200)));
            random.below(2) == 0 ? client.reset() : client.close();
            return {.id = id, .stream = stream, .left = true, .content = {}};
        }
        if (through_broken) {
            auto line = client_line(id, client.read_response(1s).value_or(Message{}), stream);
            line.left = !is_good(line);
            return line;
        }
        return client_line(id, only_answer(client, id), stream);
    }

    std::uint16_t port_;
    std::uint16_t broken_;
    std::mutex mutex_;
    std::vector<ClientLine> lines_;
    std::atomic<bool> stop_{false};
    std::vector<std::thread> threads_;
};

/// Only what the endpoint that gave the answer saw of each request; sums over several attempts say
/// nothing about the last.
void prepare_for_judge(std::vector<nlohmann::json>& ours, std::vector<nlohmann::json>& theirs) {
    std::map<std::string, std::string> answered_by;
    for (auto& line : ours) {
        answered_by[line.value("request_id", "")] = line.value("endpoint", "");
        if (line.value("attempts", 0) > 1) {
            line["upstream_bytes_read"] = 0;
        }
    }
    std::erase_if(theirs, [&](const auto& line) {
        return answered_by[line.value("id", "")] != line.value("endpoint", "");
    });
}

TEST(Soak, OfRandomFaultsLeavesEveryRequestWithOneAnswerAndNothingBehind) {
    const auto seed_of_run = seed();
    std::cout << "MILLRACE_SEED=" << seed_of_run << std::endl;
    SCOPED_TRACE("MILLRACE_SEED=" + std::to_string(seed_of_run));
    Chaos chaos(seed_of_run);
    GatewayProcess gateway({.document = chaos.document()});
    FaultProxy network(gateway.port(), {}, seed_of_run);
    Clients clients(gateway.port(), network.port(), seed_of_run);
    Random random(~seed_of_run);
    const auto start = std::chrono::steady_clock::now();
    while (since(start) < 4s * long_factor()) {
        chaos.act(gateway);
        network.set(chaos.client_plan());
        const auto pause = Millis(random.below(60));
        eventually([] { return false; }, pause);
    }
    chaos.mend_all(gateway);
    const auto lines = clients.stop();
    network.reset_all();
    expect_settled(gateway);
    for (const auto& proxy : chaos.proxies) {
        EXPECT_TRUE(proxy->wait_until_quiet()) << "a connection to a backend was forgotten";
    }
    // As if nothing had been.
    EXPECT_TRUE(eventually(
        [&] { return gateway.metrics().sum("millrace_endpoints", {{"state", "ready"}}) == 3; }));
    EXPECT_EQ(call(gateway.port(), post(kChat, chat("m1", true))).status(), 200);
    for (const auto& sim : chaos.sims) {
        EXPECT_TRUE(eventually([&] {
            return sim->metrics().sum("vllm:num_requests_running") == 0;
        })) << "a backend still works for nobody";
    }
    auto ours = gateway.access_log();
    auto theirs = chaos.log();
    prepare_for_judge(ours, theirs);
    const auto report = judge(lines, ours, theirs);
    EXPECT_TRUE(report.violations.empty()) << report.text();
    EXPECT_GT(report.completed, 20U) << report.text();
    EXPECT_EQ(report.completed + report.errors + report.left, lines.size()) << report.text();
    std::cout << report.text();
    EXPECT_TRUE(gateway.running());
    EXPECT_EQ(gateway.stop(), 0);
}

/// The serial numbers of the simulator's tokens (`kalo17 `) count from 0 without a gap; their
/// number, or nullopt.
std::optional<std::size_t> tokens_in_order(std::string_view content) {
    std::size_t next = 0;
    while (!content.empty()) {
        const auto expected = std::to_string(next) + ' ';
        if (content.size() < 4 + expected.size() ||
            content.substr(4, expected.size()) != expected) {
            return std::nullopt;
        }
        content.remove_prefix(4 + expected.size());
        ++next;
    }
    return next;
}

TEST(Soak, OfStreamsThatGoOnElsewhereLosesAndRepeatsNothing) {
    const auto seed_of_run = seed();
    std::cout << "MILLRACE_SEED=" << seed_of_run << std::endl;
    SCOPED_TRACE("MILLRACE_SEED=" + std::to_string(seed_of_run));
    constexpr std::size_t kTokens = 60;
    Chaos chaos(seed_of_run, "retry: {continue_streams: true, budget_percent: 100}");
    GatewayProcess gateway({.document = chaos.document()});
    std::size_t whole = 0;
    std::size_t cut = 0;
    Load load(gateway.port(), 8,
              {{"x-sim-tokens", std::to_string(kTokens)}, {"x-sim-inter-token-ms", "3"}},
              [&](const ClientLine& line, const Message& answer) {
                  if (!line.stream || line.status != 200) {
                      return;
                  }
                  const auto tokens = tokens_in_order(line.content);
                  EXPECT_TRUE(tokens) << answer.raw;
                  if (is_good(line)) {
                      ++whole;
                      EXPECT_EQ(tokens, kTokens) << answer.raw;
                  } else {
                      ++cut;
                      expect_not_whole(answer, line.id);
                  }
              });
    const auto start = std::chrono::steady_clock::now();
    while (since(start) < 4s * long_factor()) {
        chaos.act(gateway);
        eventually([] { return false; }, 40ms);
    }
    chaos.mend_all(gateway);
    load.stop();
    expect_settled(gateway);
    std::size_t continued = 0;
    for (const auto& sim : chaos.sims) {
        continued += static_cast<std::size_t>(std::ranges::count_if(
            sim->log(), [](const auto& line) { return line.value("continued_from", 0) > 0; }));
    }
    std::cout << whole << " whole, " << cut << " cut, " << continued << " continued\n";
    EXPECT_GT(whole, 10U);
    EXPECT_GT(continued, 0U);
    EXPECT_EQ(gateway.stop(), 0);
}

}  // namespace
}  // namespace millrace::test
