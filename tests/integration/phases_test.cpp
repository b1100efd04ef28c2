// Backends that die, vanish or come and go while requests are in every phase: queued, being
// connected, waiting for the first byte, streaming. Every request gets one answer, and none is
// computed twice where that can be known.
#include <csignal>
#include <map>
#include <memory>
#include <set>

#include <gtest/gtest.h>

#include "config/base/random.hpp"
#include "tests/integration/crowd.hpp"
#include "tests/support/fault_proxy.hpp"
#include "tests/support/sim_process.hpp"

namespace millrace::test {
namespace {

/// Three simulated backends, each behind a proxy.
struct Three {
    explicit Three(std::string_view backend_extra, std::string_view model_extra = {})
        : gateway({.document = one_pool(urls(), backend_extra, model_extra)}) {}

    std::vector<std::string> urls() const {
        std::vector<std::string> all;
        for (const auto& proxy : proxies) {
            all.push_back(proxy->url());
        }
        return all;
    }
    std::vector<std::string> seen_ids() const {
        std::vector<std::string> ids;
        for (const auto& sim : sims) {
            for (const auto& line : sim->log()) {
                ids.push_back(line.value("id", ""));
            }
        }
        return ids;
    }
    /// kill -9; what it leaves behind is forgotten. It is up again on the same port.
    void kill(std::size_t index, Millis stays_down) {
        auto& sim = sims[index];
        const auto port = sim->port();
        sim->signal(SIGKILL);
        sim->wait();
        eventually([] { return false; }, stays_down);
        sim = std::make_unique<SimProcess>("m1", std::vector<std::string>{}, port);
    }

    std::vector<std::unique_ptr<SimProcess>> sims = make_sims();
    std::vector<std::unique_ptr<FaultProxy>> proxies = make_proxies();
    GatewayProcess gateway;

private:
    static std::vector<std::unique_ptr<SimProcess>> make_sims() {
        std::vector<std::unique_ptr<SimProcess>> made;
        for (int i = 0; i < 3; ++i) {
            made.push_back(std::make_unique<SimProcess>("m1"));
        }
        return made;
    }
    std::vector<std::unique_ptr<FaultProxy>> make_proxies() const {
        std::vector<std::unique_ptr<FaultProxy>> made;
        for (const auto& sim : sims) {
            made.push_back(std::make_unique<FaultProxy>(sim->port()));
        }
        return made;
    }
};

const Headers kShortStream{
    {"x-sim-tokens", "12"}, {"x-sim-ttft-ms", "4"}, {"x-sim-inter-token-ms", "2"}};

/// Calls `act` about every `pause` for as long as short tests last, or longer if told to.
template <class Act>
void for_a_while(Act act, Millis pause) {
    const auto start = std::chrono::steady_clock::now();
    for (unsigned i = 0; since(start) < 2s * long_factor(); ++i) {
        act(i);
        eventually([] { return false; }, pause);
    }
}

TEST(KilledBackend, OneOfThreeCostsOnlyStreamsThatItHadBegun) {
    Three three("outliers: {failures: 0}", "retry: {budget_percent: 100}");
    Random random(7);
    std::size_t cut = 0;
    Load load(three.gateway.port(), 8, kShortStream,
              [&](const ClientLine& line, const Message& answer) {
                  if (is_good(line)) {
                      return;
                  }
                  ++cut;
                  EXPECT_TRUE(line.stream && line.status == 200 && !line.content.empty() &&
                              line.error && !line.done && !line.complete)
                      << answer.raw;
                  EXPECT_TRUE(is_token_sequence(line.content)) << answer.raw;
              });
    for_a_while([&](unsigned) { three.kill(random.below(3), Millis(random.below(60))); }, 40ms);
    load.stop();
    EXPECT_GT(cut, 0U) << "no stream was hit";
    EXPECT_GT(load.answers(), 5 * cut);
    expect_settled(three.gateway);
}

TEST(FrozenBackend, OneOfThreeIsEjectedUnnoticedAndComesBack) {
    const Three three("outliers: {failures: 2, ejection: 500ms}, timeouts: {first_byte: 300ms}",
                      "retry: {budget_percent: 100}");
    const auto endpoints = [&](const char* state) {
        return three.gateway.metrics().sum("millrace_endpoints", {{"state", state}});
    };
    three.sims[0]->signal(SIGSTOP);  // the kernel still accepts for it
    Load load(three.gateway.port(), 4, kShortStream,
              [](const ClientLine& line, const Message& answer) {
                  EXPECT_TRUE(is_good(line)) << answer.raw;
              });
    EXPECT_TRUE(eventually([&] { return endpoints("ejected") == 1; }));
    three.sims[0]->signal(SIGCONT);
    EXPECT_TRUE(eventually([&] { return endpoints("ready") == 3; }));
    const auto served = [&] { return three.sims[0]->log().size(); };
    const auto before = served();
    EXPECT_TRUE(eventually([&] { return served() > before + 20; }));
    load.stop();
    expect_settled(three.gateway);
}

TEST(FlappingEndpoints, ThatRefuseConnectionsCostNoAnswerAndNothingTwice) {
    const Three three("outliers: {failures: 0}, max_idle_connections: 0",
                      "retry: {budget_percent: 100}");
    Load load(three.gateway.port(), 8, kShortStream,
              [](const ClientLine& line, const Message& answer) {
                  EXPECT_TRUE(is_good(line)) << answer.raw;
              });
    for_a_while(
        [&](unsigned i) {
            three.proxies[i % 3]->up();
            three.proxies[(i + 1) % 3]->down();
        },
        50ms);
    load.stop();
    EXPECT_GT(three.gateway.metrics().sum("millrace_retries_total", {{"reason", "connect_failed"}}),
              10);
    EXPECT_EQ(repeated(three.seen_ids()), std::set<std::string>{});
    expect_settled(three.gateway);
}

TEST(FlappingEndpoints, ThatComeAndGoUnderAQueueKeepItMovingAndTheGaugesTrue) {
    Three three("slots_per_endpoint: 2");
    Load load(three.gateway.port(), 12, kShortStream,
              [](const ClientLine& line, const Message& answer) {
                  EXPECT_TRUE(is_good(line)) << answer.raw;
              });
    const auto urls = three.urls();
    const std::vector<std::vector<std::string>> sets{
        urls, {urls[0]}, {urls[1], urls[2]}, {urls[2]}};
    for_a_while(
        [&](unsigned i) {
            three.gateway.write_document(one_pool(sets[i % sets.size()], "slots_per_endpoint: 2"));
            EXPECT_TRUE(three.gateway.reload());
            if (i % 4 == 3) {  // for a moment there is nobody
                set_draining(three.gateway, sets[i % sets.size()], true);
                EXPECT_TRUE(eventually([&] {
                    return three.gateway.metrics().sum("millrace_in_flight_requests") == 0;
                }));
                set_draining(three.gateway, sets[i % sets.size()], false);
            }
            for (const auto& sample : three.gateway.metrics().samples()) {
                EXPECT_GE(sample.value, 0) << sample.name;
            }
        },
        50ms);
    three.gateway.write_document(one_pool(urls, "slots_per_endpoint: 2"));
    EXPECT_TRUE(three.gateway.reload());
    load.stop();
    EXPECT_GT(load.answers(), 50U);
    EXPECT_EQ(repeated(three.seen_ids()), std::set<std::string>{});
    expect_settled(three.gateway);
}

/// Starts to answer streams, then says nothing more until release("go").
ScriptedBackend::Script begin_and_wait() {
    return [](BackendConnection& connection) {
        while (const auto seen = connection.read_request()) {
            const bool stream = seen->json().value("stream", false);
            const StreamStart start;
            connection.send(stream ? start.token : "");
            if (!connection.wait_for("go")) {
                return;
            }
            const auto rest = std::string_view(chat_stream(1, false)).substr(start.token.size());
            connection.send(stream ? std::string(rest) : json_response(chat_answer()));
        }
    };
}

TEST(ResetOfAllConnections, WhileRequestsRunAndWaitAnswersEachOnce) {
    constexpr std::size_t kSlots = 40;
    constexpr std::size_t kRequests = 200;
    ScriptedBackend backend(begin_and_wait());
    FaultProxy proxy(backend.port());
    const GatewayProcess gateway(
        {.document = one_model(proxy.url(), "slots_per_endpoint: 40, max_idle_connections: 0")});
    std::vector<RawClient> clients;
    for (std::size_t i = 0; i < kRequests; ++i) {
        clients.emplace_back(gateway.port());
        ASSERT_TRUE(
            clients.back().send(last_request("r-" + std::to_string(i), chat("m1", i % 2 == 0))));
    }
    for (std::size_t round = 1; round < kRequests / kSlots; ++round) {
        ASSERT_TRUE(backend.wait_for_requests(round * kSlots)) << round;
        proxy.reset_all();
    }
    ASSERT_TRUE(backend.wait_for_requests(kRequests));
    EXPECT_TRUE(eventually([&] {
        const auto page = gateway.metrics();
        return page.sum("millrace_queued_requests") == 0 &&
               page.sum("millrace_in_flight_requests") == kSlots;
    }));
    backend.release("go");
    std::map<std::string, std::size_t> outcomes;
    for (std::size_t i = 0; i < kRequests; ++i) {
        const auto id = "r-" + std::to_string(i);
        const auto answer = only_answer(clients[i], id);
        const auto line = client_line(id, answer, i % 2 == 0);
        EXPECT_TRUE(is_good(line) || line.error) << answer.raw;
        ++outcomes[is_good(line) ? "good" : "error"];
    }
    EXPECT_EQ(outcomes["good"], kSlots);
    EXPECT_EQ(outcomes["error"], kRequests - kSlots);
    EXPECT_EQ(repeated(ids_of(backend.requests())), std::set<std::string>{});
    expect_settled(gateway);
    EXPECT_TRUE(proxy.wait_until_quiet());
}

TEST(ResetOfAllClients, WhileRequestsRunAndWaitEmptiesTheLineAndFreesTheBackend) {
    constexpr std::size_t kSlots = 20;
    constexpr std::size_t kRequests = 200;
    const ScriptedBackend backend([](BackendConnection& connection) {
        if (const auto seen = connection.read_request()) {
            connection.send(seen->json().value("stream", false) ? StreamStart().token : "");
            connection.wait_until_gone();
        }
    });
    const GatewayProcess gateway({.document = one_model(backend.url(), "slots_per_endpoint: 20")});
    FaultProxy proxy(gateway.port());
    for (unsigned round = 1; round <= 2; ++round) {
        std::vector<RawClient> clients;
        for (std::size_t i = 0; i < kRequests; ++i) {
            clients.emplace_back(proxy.port())
                .send(last_request("c-" + std::to_string(i), chat("m1", i % 2 == 0)));
        }
        ASSERT_TRUE(eventually([&] {
            const auto page = gateway.metrics();
            return page.sum("millrace_queued_requests") == kRequests - kSlots &&
                   page.sum("millrace_in_flight_requests") == kSlots;
        }));
        proxy.reset_all();
        expect_settled(gateway);
        EXPECT_TRUE(eventually([&] { return backend.open_connections() == 0; }))
            << "the backend still works for clients that are gone";
        EXPECT_EQ(gateway.metrics().sum("millrace_requests_total", {{"outcome", "client_closed"}}),
                  round * kRequests);
    }
    EXPECT_LT(backend.request_count(), kRequests) << "the line was emptied into the backend";
}

TEST(ConnectionClose, AfterAFewAnswersOfABurstIsNotARetry) {
    std::atomic<int> answered{0};
    const Rig rig([&](BackendConnection& connection) {
        for (int i = 1; i <= 3; ++i) {
            const auto seen = connection.read_request();
            if (!seen) {
                return;
            }
            const auto answer = chat_answer("answer " + std::to_string(++answered)).dump();
            connection.send(i < 3 ? response(200, answer)
                                  : response(200, answer, {{"connection", "close"}}));
        }
    });
    std::set<std::string> contents;
    Load load(rig.gateway.port(), 8, {}, [&](const ClientLine& line, const Message& answer) {
        EXPECT_EQ(line.status, 200) << answer.raw;
        EXPECT_TRUE(contents.insert(answer.body).second) << "two clients got the same answer";
    });
    ASSERT_TRUE(eventually([&] { return load.answers() > 400; }));
    load.stop();
    EXPECT_EQ(rig.gateway.metrics().sum("millrace_retries_total"), 0);
    EXPECT_EQ(rig.backend.request_count(), load.answers());
    expect_settled(rig.gateway);
}

}  // namespace
}  // namespace millrace::test
