// Copies of requests: sent or dropped, counted by how they ended, and nothing to the original.
#include "gateway/pipeline/mirror.hpp"

#include <gtest/gtest.h>

#include <string>

#include "tests/gateway/pipeline/live_world.hpp"

namespace millrace::gateway {
namespace {

using namespace testing_support;
using metrics::MirrorOutcome;

/// Model `m` with copies to the pool "shadow".
class MirrorTest : public LiveTest {
protected:
    MirrorTest() {
        model().mirror = config::Mirror{"shadow", 100, {}};
        world.config.backends["shadow"];
    }
    config::Backend& shadow_settings() { return world.config.backends["shadow"]; }
    void begin(ScriptedBackend::Script script, bool stream = false,
               std::string_view more_fields = {}) {
        shadow.emplace(std::move(script));
        ask(stream, more_fields);
        lead_to(shadow_pool(), {&*shadow});
    }
    void copy() { world.mirrors.copy(scope(), request, resolved); }
    routing::Pool& shadow_pool() { return *world.state.pools.find("shadow"); }
    std::uint64_t count(MirrorOutcome outcome) {
        const auto& target = world.snapshot->catalog->rules().front().mirror;
        const auto* cells = world.registry.slot(0)
                                .backend(metrics::BackendId{target.backend_metric})
                                .mirrored.try_at(1);
        return cells == nullptr ? 0 : (*cells)[metrics::index_of(outcome)].value();
    }
    bool ends_as(MirrorOutcome outcome) {
        const bool ended = turns->turn_until([this] { return world.mirrors.running() == 0; });
        return ended && count(outcome) == 1;
    }
    bool is_asked() {
        return turns->turn_until([this] { return shadow->request_count() == 1; });
    }
    void expect_dropped() {
        copy();
        EXPECT_EQ(count(MirrorOutcome::dropped), 1U);
        EXPECT_EQ(world.mirrors.running(), 0U);
    }
    void expect_not_meant() {
        for (int i = 0; i < 20; ++i) {
            copy();
        }
        EXPECT_EQ(world.mirrors.running(), 0U);
        EXPECT_EQ(count(MirrorOutcome::dropped), 0U);
    }

    std::optional<ScriptedBackend> shadow;
};

TEST_F(MirrorTest, SendsTheSameRequestAndDropsItsAnswer) {
    begin(ScriptedBackend::always(test::json_response({{"id", "copy"}})));
    copy();
    EXPECT_EQ(world.mirrors.running(), 1U);
    EXPECT_EQ(world.loop.sockets(), 0U) << "the original goes first";
    EXPECT_TRUE(ends_as(MirrorOutcome::ok));
    const auto requests = shadow->requests();
    ASSERT_EQ(requests.size(), 1U);
    EXPECT_EQ(requests[0].target(), "/v1/chat/completions");
    EXPECT_EQ(requests[0].json()["messages"], nlohmann::json::parse(body)["messages"]);
    EXPECT_EQ(requests[0].json()["model"], "served") << "the name of the original";
    EXPECT_EQ(requests[0].header("host"), test::loopback() + ":" + std::to_string(shadow->port()));
}

TEST_F(MirrorTest, CarriesTheNameThatItsBackendServes) {
    model().mirror->served_name = "new-name";
    begin(ScriptedBackend::always(test::json_response({{"id", "copy"}})));
    copy();
    EXPECT_TRUE(ends_as(MirrorOutcome::ok));
    EXPECT_EQ(shadow->requests().at(0).json()["model"], "new-name");
}

TEST_F(MirrorTest, AsksForNoUsageThatTheClientDidNotAskFor) {
    begin(ScriptedBackend::always(whole_stream()), true);
    copy();
    EXPECT_TRUE(ends_as(MirrorOutcome::ok));
    EXPECT_FALSE(shadow->requests().at(0).json().contains("stream_options"));
}

TEST_F(MirrorTest, NothingOfItIsInTheOriginalsAccount) {
    begin(ScriptedBackend::always(test::json_response({{"id", "copy"}})));
    const auto before = demand();
    copy();
    EXPECT_EQ(demand(), before);
    EXPECT_TRUE(ends_as(MirrorOutcome::ok));
    EXPECT_EQ(demand(), before);
    EXPECT_EQ(scope().record.attempts.total(), 0U);
    EXPECT_FALSE(scope().record.error);
    EXPECT_FALSE(text->abort);
    EXPECT_FALSE(text->answer.committed());
    EXPECT_EQ(text->answer.body, "");
}

TEST_F(MirrorTest, GivesBackWhatItHeld) {
    begin(two_parts("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "{}"));
    const auto before = world.budget.used();
    copy();
    EXPECT_GE(world.budget.used() - before, body.size()) << "leased before it is sent";
    EXPECT_EQ(shadow_pool().counts().in_flight, 1U);
    ASSERT_TRUE(is_asked());
    EXPECT_TRUE(turns->turn_until([&] { return world.budget.used() == before; }))
        << "sent bytes are not held";
    EXPECT_EQ(shadow_pool().counts().in_flight, 1U) << "until its answer has ended";
    shadow->release("go");
    EXPECT_TRUE(ends_as(MirrorOutcome::ok));
    EXPECT_EQ(shadow_pool().counts().in_flight, 0U);
    EXPECT_EQ(world.upstreams.idle_connections(), 1U);
}

TEST_F(MirrorTest, OutlivesItsOriginal) {
    begin(two_parts(test::stream_head() + test::chunk(kContent), std::string(test::kLastChunk)),
          true);
    copy();
    text->abort.fire(AbortReason::client_closed);
    text.reset();
    body = "overwritten";
    world.snapshot.reset();
    ASSERT_TRUE(is_asked());
    EXPECT_EQ(shadow->requests()[0].json()["messages"][0]["content"], "Hello");
    turns->settle();
    EXPECT_EQ(world.mirrors.running(), 1U);
    shadow->release("go");
    EXPECT_TRUE(turns->turn_until([this] { return world.mirrors.running() == 0; }));
}

TEST_F(MirrorTest, SaysHowItEnded) {
    const struct {
        std::string bytes;
        MirrorOutcome expected;
    } cases[] = {
        {test::json_response({{"id", "x"}}), MirrorOutcome::ok},
        {test::json_response({{"error", "x"}}, 404), MirrorOutcome::ok},
        {test::json_response({{"error", "x"}}, 429), MirrorOutcome::error_status},
        {test::json_response({{"error", "x"}}, 500), MirrorOutcome::error_status},
        {"", MirrorOutcome::failed},
        {"garbage\r\n\r\n", MirrorOutcome::failed},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", MirrorOutcome::failed},
    };
    std::array<std::uint64_t, static_cast<std::size_t>(MirrorOutcome::kCount)> expected{};
    for (const auto& [bytes, outcome] : cases) {
        begin(ScriptedBackend::once_then_close(bytes));
        copy();
        ASSERT_TRUE(turns->turn_until([this] { return world.mirrors.running() == 0; }));
        ++expected[metrics::index_of(outcome)];
        for (std::size_t i = 0; i < expected.size(); ++i) {
            EXPECT_EQ(count(static_cast<MirrorOutcome>(i)), expected[i]) << bytes;
        }
    }
}

TEST_F(MirrorTest, FailsWhenNobodyListens) {
    begin(silent());
    shadow->stop_accepting();
    copy();
    EXPECT_TRUE(ends_as(MirrorOutcome::failed));
    EXPECT_EQ(shadow_pool().counts().in_flight, 0U);
    EXPECT_EQ(world.budget.used(), 0U);
}

TEST_F(MirrorTest, EndsWithItsBackendsLimits) {
    shadow_settings().timeouts.total = 30s;
    begin(silent());
    copy();
    ASSERT_TRUE(is_asked());
    turns->pass(29s);
    EXPECT_EQ(world.mirrors.running(), 1U);
    turns->pass(2s);
    EXPECT_TRUE(ends_as(MirrorOutcome::failed));
}

TEST_F(MirrorTest, TakesWhatComesForATokenSoThatOnlySilenceEndsIt) {
    shadow_settings().timeouts = {.first_token = 5s, .idle = 60s};
    begin(two_parts(test::stream_head() + test::chunk(kRole), {}), true);
    copy();
    ASSERT_TRUE(is_asked());
    turns->settle();
    turns->pass(50s);
    EXPECT_EQ(world.mirrors.running(), 1U);
    turns->pass(11s);
    EXPECT_TRUE(ends_as(MirrorOutcome::failed));
}

TEST_F(MirrorTest, TellsTheHealthOfItsEndpoint) {
    begin(ScriptedBackend::once_then_close(""));
    ScriptedBackend another(ScriptedBackend::once_then_close(""));
    lead_to(shadow_pool(), {&*shadow, &another});
    for (int i = 0; i < 30; ++i) {
        copy();
        ASSERT_TRUE(turns->turn_until([this] { return world.mirrors.running() == 0; }));
    }
    EXPECT_EQ(shadow_pool().health().ejected, 1U) << "as many as can be spared";
    EXPECT_EQ(pool().health().ejected, 0U) << "not the original's";
}

// What is dropped, because a copy takes only what is free.

TEST_F(MirrorTest, IsDroppedWithoutAFreeSlot) {
    begin(silent());
    shadow_pool().set_limits({1, {}, {}});
    copy();
    copy();
    EXPECT_EQ(world.mirrors.running(), 1U);
    EXPECT_EQ(count(MirrorOutcome::dropped), 1U);
    world.mirrors.drain(true);
    EXPECT_TRUE(turns->turn_until([this] { return world.mirrors.running() == 0; }));
}

TEST_F(MirrorTest, IsDroppedWithoutAnEndpoint) {
    begin(silent());
    lead_to(shadow_pool(), {});
    expect_dropped();
}

TEST_F(MirrorTest, IsDroppedWithoutMemory) {
    begin(silent());
    world.budget.set_limit(world.budget.used() + body.size() / 2);
    expect_dropped();
    EXPECT_EQ(shadow_pool().counts().in_flight, 0U);
    EXPECT_EQ(world.budget.used(), 0U);
}

TEST_F(MirrorTest, IsDroppedBeyondItsNumber) {
    begin(silent());
    for (std::size_t i = 0; i < Mirrors::kAtOnce + 3; ++i) {
        copy();
    }
    EXPECT_EQ(world.mirrors.running(), Mirrors::kAtOnce);
    EXPECT_EQ(count(MirrorOutcome::dropped), 3U);
    world.mirrors.drain(true);
    EXPECT_TRUE(turns->turn_until([this] { return world.mirrors.running() == 0; }));
    EXPECT_EQ(count(MirrorOutcome::failed), Mirrors::kAtOnce);
}

TEST_F(MirrorTest, ADrainEndsThemAndBeginsNoOthers) {
    begin(silent());
    copy();
    ASSERT_TRUE(is_asked());
    world.mirrors.drain(true);
    EXPECT_TRUE(ends_as(MirrorOutcome::failed));
    EXPECT_TRUE(turns->turn_until([this] { return shadow->gone_count() == 1; }));
    expect_dropped();
    world.mirrors.drain(false);
    copy();
    EXPECT_EQ(world.mirrors.running(), 1U);
    world.mirrors.drain(true);
    EXPECT_TRUE(turns->turn_until([this] { return world.mirrors.running() == 0; }));
    EXPECT_TRUE(pool().health().ejected == 0 && shadow_pool().health().ejected == 0);
}

// What is not meant to be copied.

TEST_F(MirrorTest, CopiesTheConfiguredPart) {
    world.mirrors.drain(true);  // so that each draw that hits is counted as dropped
    model().mirror->percent = 30;
    begin(silent());
    constexpr int kDraws = 5'000;
    for (int i = 0; i < kDraws; ++i) {
        copy();
    }
    EXPECT_NEAR(static_cast<double>(count(MirrorOutcome::dropped)) / kDraws, 0.3, 0.03);
}

TEST_F(MirrorTest, CopiesAllOrNoneAtTheEnds) {
    world.mirrors.drain(true);
    begin(silent());
    for (int i = 0; i < 500; ++i) {
        copy();
    }
    EXPECT_EQ(count(MirrorOutcome::dropped), 500U);
}

TEST_F(MirrorTest, ZeroPercentCopiesNothing) {
    model().mirror->percent = 0;
    begin(silent());
    world.mirrors.drain(true);
    for (int i = 0; i < 500; ++i) {
        copy();
    }
    EXPECT_EQ(count(MirrorOutcome::dropped), 0U);
}

TEST_F(MirrorTest, IsOnlyForModelsThatHaveOne) {
    model().mirror.reset();
    ask(false);
    copy();
    EXPECT_EQ(world.mirrors.running(), 0U);
}

TEST_F(MirrorTest, IsNotForWhatIsOutsideTheApi) {
    begin(silent());
    request.surface = nullptr;
    expect_not_meant();
}

TEST_F(MirrorTest, IsNotForWhatIsTiedToAnEndpoint) {
    begin(silent());
    resolved.pinned = world.endpoints.of(shadow_pool()).endpoints.front();
    expect_not_meant();
}

}  // namespace
}  // namespace millrace::gateway
