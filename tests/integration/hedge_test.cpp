// A second attempt beside one that is late: the first token wins, the other connection closes, and
// the account shows both.
#include <gtest/gtest.h>

#include "tests/integration/rig.hpp"

namespace millrace::test {
namespace {

/// One model on a pool of two backends, hedged after 50 ms.
struct HedgeRig {
    explicit HedgeRig(ScriptedBackend::Script slow_script, std::string_view backend_extra = {},
                      std::string_view hedge = "hedge: {after: 50ms, budget_percent: 100}")
        : slow(std::move(slow_script)), gateway({.document = document(backend_extra, hedge)}) {}

    std::string document(std::string_view backend_extra, std::string_view hedge) const {
        auto text = one_model(slow.url(), backend_extra, hedge);
        const auto at = text.find(slow.url() + '"') + slow.url().size() + 1;
        return text.insert(at, ", \"" + fast.url() + '"');
    }
    Message ask(nlohmann::json body, const std::string& id = "hedged") const {
        return call(gateway.port(), post(kChat, body, {{"x-request-id", id}}));
    }
    /// Asks until the slow backend has been the first one once.
    std::string ask_until_hedged(bool stream) const {
        for (int i = 0; i < 50; ++i) {
            const auto id = "hedged-" + std::to_string(i);
            EXPECT_EQ(ask(chat("m1", stream), id).status(), 200);
            if (hedges("won") > 0) {
                return id;
            }
        }
        ADD_FAILURE() << "the slow backend was never asked first";
        return {};
    }
    double hedges(std::string_view outcome) const {
        return gateway.metrics().sum("millrace_hedges_total", {{"outcome", std::string(outcome)}});
    }

    ScriptedBackend slow;
    ScriptedBackend fast{ScriptedBackend::answering(well_behaved)};
    GatewayProcess gateway;
};

ScriptedBackend::Script silent() {
    return [](BackendConnection& connection) {
        if (connection.read_request()) {
            connection.wait_until_gone();
        }
    };
}

/// Begins a stream and says nothing more.
ScriptedBackend::Script stalling() {
    return [](BackendConnection& connection) {
        if (connection.read_request()) {
            connection.send(StreamStart().role);
            connection.wait_until_gone();
        }
    };
}

TEST(Hedge, OvertakesASilentBackendAndClosesItsConnection) {
    const HedgeRig rig(silent());
    const auto id = rig.ask_until_hedged(false);
    EXPECT_TRUE(eventually([&] { return rig.slow.gone_count() == rig.slow.request_count(); }));
    const auto line = rig.gateway.access_line(id);
    EXPECT_EQ(line.value("attempts", 0), 2);
    EXPECT_EQ(line.value("endpoint", ""), rig.fast.url());
    ASSERT_EQ(line["earlier_attempts"].size(), 1U);
    EXPECT_EQ(line["earlier_attempts"][0]["endpoint"], rig.slow.url());
    EXPECT_EQ(line["earlier_attempts"][0]["outcome"], "superseded");
    EXPECT_TRUE(rig.gateway.quiet());
    EXPECT_EQ(rig.gateway.metrics().sum("millrace_endpoints", {{"state", "ejected"}}), 0)
        << "being overtaken is no failure";
}

TEST(Hedge, CountsTheRequestOnceAndTheAttemptsEach) {
    const HedgeRig rig(silent());
    rig.ask_until_hedged(true);
    EXPECT_TRUE(rig.gateway.quiet());
    const auto metrics = rig.gateway.metrics();
    const auto requests = metrics.sum("millrace_requests_total");
    EXPECT_EQ(requests, rig.gateway.access_log().size());
    EXPECT_EQ(metrics.sum("millrace_upstream_attempts_total", {{"outcome", "ok"}}), requests);
    EXPECT_EQ(metrics.sum("millrace_upstream_attempts_total", {{"outcome", "superseded"}}),
              rig.slow.request_count());
    EXPECT_EQ(metrics.sum("millrace_tokens_total", {{"kind", "completion"}}), 3 * requests);
}

TEST(Hedge, WaitsForContentNotForTheFirstEvent) {
    const HedgeRig rig(stalling());
    rig.ask_until_hedged(true);
    const auto answer = rig.ask(chat("m1", true));
    const auto stream = judge_stream(answer.body);
    EXPECT_EQ(stream.content, "t0 t1 t2 ");
    EXPECT_TRUE(stream.done);
    EXPECT_EQ(answer.body.find("\"role\""), answer.body.rfind("\"role\""))
        << "of one attempt only: " << answer.body;
}

TEST(Hedge, IsNotSentWithoutAFreeSlotElsewhere) {
    HedgeRig rig([](BackendConnection& connection) {
        while (connection.read_request()) {
            if (!connection.wait_for("go") || !connection.send(json_response(chat_answer()))) {
                return;
            }
        }
    });
    ASSERT_EQ(
        rig.gateway.admin("POST", "/drain?backend=m1-pool&endpoint=" + rig.fast.url()).status(),
        200);
    RawClient client(rig.gateway.port());
    ASSERT_TRUE(client.send(post(kChat, chat("m1"))));
    ASSERT_TRUE(rig.slow.wait_for_requests(1));
    EXPECT_FALSE(client.closed_by_peer(200ms));
    rig.slow.release("go");
    ASSERT_TRUE(client.read_response());
    EXPECT_EQ(rig.fast.request_count(), 0U);
    EXPECT_EQ(rig.hedges("won") + rig.hedges("lost"), 0);
}

TEST(Hedge, IsNeverSentForWhatIsStored) {
    const HedgeRig rig(silent(), "timeouts: {first_byte: 300ms}");
    auto body = chat("m1");
    body["store"] = true;
    int failed = 0;
    for (int i = 0; i < 10; ++i) {
        failed += rig.ask(body).status() == 504 ? 1 : 0;
    }
    EXPECT_EQ(static_cast<std::size_t>(failed), rig.slow.request_count());
    EXPECT_EQ(rig.hedges("won") + rig.hedges("lost"), 0);
}

TEST(Hedge, EndsBothAttemptsWhenTheClientLeaves) {
    HedgeRig rig(silent());
    for (std::size_t i = 0; i < 2; ++i) {
        rig.fast.script(i, silent());
    }
    {
        RawClient client(rig.gateway.port());
        ASSERT_TRUE(client.send(post(kChat, chat("m1"))));
        ASSERT_TRUE(rig.slow.wait_for_requests(1));
        ASSERT_TRUE(rig.fast.wait_for_requests(1));
    }
    EXPECT_TRUE(eventually([&] { return rig.slow.gone_count() + rig.fast.gone_count() == 2; }));
    EXPECT_TRUE(rig.gateway.quiet());
}

TEST(Hedge, IsOnlyForModelsThatAskForIt) {
    const HedgeRig rig(silent(), "timeouts: {first_byte: 300ms}", "retry: {attempts: 1}");
    for (int i = 0; i < 4; ++i) {
        rig.ask(chat("m1"));
    }
    EXPECT_EQ(rig.hedges("won") + rig.hedges("lost"), 0);
}

}  // namespace
}  // namespace millrace::test
