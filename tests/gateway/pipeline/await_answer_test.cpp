// One attempt up to the point where its answer can be relayed: what is looked at, what is kept, and
// every way in which it fails.
#include "gateway/pipeline/await_answer.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "gateway/pipeline/preference.hpp"
#include "tests/gateway/pipeline/live_world.hpp"

namespace millrace::gateway {
namespace {

using namespace testing_support;

constexpr std::size_t kBound = std::size_t{64} * 1024;  ///< what is looked at before the commit

class AwaitAnswerTest : public LiveTest {
protected:
    /// Leases the only endpoint and opens the account.
    void begin_attempt() { begin(scope(), request, resolved, selection, select(), answer); }
    routing::Selected select() {
        return routing::pick_endpoint(resolved.decision, selection, world.endpoints,
                                      world.loop.random());
    }
    Result<bool> outcome() {
        begin_attempt();
        return turns->run(await_answer(scope(), request, resolved, answer));
    }
    /// A stream up to its first event, then up to its first content.
    Result<void> content() {
        const auto looked = outcome();
        EXPECT_TRUE(looked);
        return turns->run(await_content(answer));
    }
    /// The outcome of an attempt that waits, once `time` has passed.
    Result<bool> outcome_after(Duration time) {
        begin_attempt();
        Pending<Result<bool>> waiting(await_answer(scope(), request, resolved, answer));
        EXPECT_TRUE(turns->turn_until([this] { return backends[0]->request_count() > 0; }));
        turns->settle();
        turns->pass(time - 20ms);
        EXPECT_FALSE(waiting.done()) << "too soon";
        turns->pass(40ms);
        return turns->finish(waiting);
    }
    static Errc code(const auto& result) { return result ? Errc::internal : result.error().code; }
    std::string out() const { return joined(answer.scratch->out); }
    std::string first_bytes() const { return joined(answer.scratch->body); }
    static std::string joined(const std::vector<std::string_view>& pieces) {
        std::string all;
        for (const auto piece : pieces) {
            all += piece;
        }
        return all;
    }
    void make_other(std::string_view method) {
        make(std::string(method) + " /v1/models/m HTTP/1.1\r\nHost: h\r\n\r\n");
        auto decision = routing::decide(routing::testing::chat("m"), *world.snapshot->catalog,
                                        world.endpoints, world.loop.random());
        ASSERT_TRUE(decision);
        scope().admit(*decision);
        resolved.decision = *decision;
        resolved.matched = decision->rule;
    }

    routing::Selection selection;
    Answer answer{world.scratch};
};

TEST_F(AwaitAnswerTest, AStreamIsReadUntilItsFirstEvent) {
    const std::string event(kRole);
    backend(two_parts(test::stream_head() + test::chunk(event.substr(0, 20)),
                      test::chunk(event.substr(20) + std::string(kContent))));
    ask(true);
    begin_attempt();
    Pending<Result<bool>> waiting(await_answer(scope(), request, resolved, answer));
    ASSERT_TRUE(turns->turn_until([this] { return backends[0]->request_count() > 0; }));
    turns->settle();
    EXPECT_FALSE(waiting.done()) << "half an event";
    backends[0]->release("go");
    const auto done = turns->finish(waiting);
    ASSERT_TRUE(done);
    EXPECT_FALSE(*done);
    EXPECT_EQ(answer.filter()->first_event(), openai::FirstEvent::normal);
    EXPECT_EQ(out(), std::string(kRole) + std::string(kContent));
    EXPECT_FALSE(answer.complete);
    EXPECT_EQ(error_status(answer), 0);
    EXPECT_EQ(answer.record->status, 200);
    EXPECT_FALSE(answer.usage());
    EXPECT_EQ(demand().pending, 1U) << "content is what ends the waiting, not the first event";
}

TEST_F(AwaitAnswerTest, AnErrorInTheFirstEventIsAStatus) {
    backend(two_parts(test::stream_head() +
                          test::chunk("data: {\"error\":{\"message\":\"no\",\"code\":429}}\n\n"),
                      {}));
    ask(true);
    ASSERT_TRUE(outcome());
    EXPECT_EQ(answer.filter()->first_event(), openai::FirstEvent::error);
    EXPECT_EQ(error_status(answer), 429);
    EXPECT_EQ(answer.attempt->head().status, 200);
}

TEST_F(AwaitAnswerTest, AnEmptyStreamIsAnAnswer) {
    backend(two_parts(test::stream_head() + std::string(test::kLastChunk), {}));
    ask(true);
    ASSERT_TRUE(outcome());
    EXPECT_TRUE(answer.complete);
    EXPECT_EQ(out(), "");
    EXPECT_EQ(error_status(answer), 0);
}

TEST_F(AwaitAnswerTest, AnotherAnswerIsReadUntilItsFirstBytes) {
    backend(two_parts("HTTP/1.1 200 OK\r\nContent-Type: kept/yes\r\nContent-Length: 10\r\n\r\n",
                      "{\"a\":"));
    ask(false);
    begin_attempt();
    Pending<Result<bool>> waiting(await_answer(scope(), request, resolved, answer));
    ASSERT_TRUE(turns->turn_until([this] { return demand().pending == 0; }))
        << "the head is the first content of what is no stream";
    turns->settle();
    EXPECT_FALSE(waiting.done()) << "only the head";
    backends[0]->release("go");
    const auto done = turns->finish(waiting);
    ASSERT_TRUE(done);
    EXPECT_FALSE(*done);
    EXPECT_EQ(first_bytes(), "{\"a\":");
    EXPECT_EQ(answer.attempt->head().content_type(), "kept/yes");
    EXPECT_TRUE(answer.usage());
    EXPECT_FALSE(answer.filter());
    EXPECT_FALSE(answer.complete);
}

TEST_F(AwaitAnswerTest, AWholeAnswerIsComplete) {
    backend(ScriptedBackend::always(test::json_response({{"id", "x"}})));
    ask(false);
    ASSERT_TRUE(outcome());
    EXPECT_TRUE(answer.complete);
    EXPECT_EQ(first_bytes(), R"({"id":"x"})");
}

TEST_F(AwaitAnswerTest, AnAnswerThatRacesAnotherLeavesTheRequestWaiting) {
    backend(ScriptedBackend::always(test::json_response({{"id", "x"}})));
    ask(false);
    AbortSignal own;
    answer.abort = &own;
    ASSERT_TRUE(outcome());
    EXPECT_EQ(demand().pending, 1U);
    answer.attempt.reset();  // which listens to `own`
}

TEST_F(AwaitAnswerTest, AnErrorAnswerIsItsStatusAndNoUsage) {
    for (const int status : {400, 404, 429, 500, 503}) {
        backends.clear();
        backend(ScriptedBackend::always(test::json_response({{"error", "x"}}, status)));
        ask(false);
        ASSERT_TRUE(outcome());
        EXPECT_EQ(error_status(answer), status);
        EXPECT_EQ(answer.record->status, status);
        EXPECT_FALSE(answer.usage());
        EXPECT_FALSE(answer.filter());
        EXPECT_EQ(answer.held, "");
        EXPECT_EQ(first_bytes(), R"({"error":"x"})");
        answer.clear();
    }
}

TEST_F(AwaitAnswerTest, AStreamedErrorStatusIsNotReadAsAStream) {
    backend(then_close("HTTP/1.1 503 No\r\nContent-Type: text/event-stream\r\n\r\n" +
                       std::string(kContent)));
    ask(true);
    ASSERT_TRUE(outcome());
    EXPECT_EQ(error_status(answer), 503);
    EXPECT_FALSE(answer.filter());
}

TEST_F(AwaitAnswerTest, OutsideTheApiNothingIsLookedInto) {
    backend(two_parts(test::stream_head() + test::chunk(kContent), {}));
    make_other("GET");
    ASSERT_TRUE(outcome());
    EXPECT_FALSE(answer.filter());
    EXPECT_FALSE(answer.usage());
    EXPECT_EQ(first_bytes(), kContent);
}

TEST_F(AwaitAnswerTest, AHeadIsAnsweredWithoutABody) {
    backend(ScriptedBackend::always("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"));
    make_other("HEAD");
    ASSERT_TRUE(outcome());
    EXPECT_TRUE(answer.complete);
    EXPECT_EQ(first_bytes(), "");
}

// The usage option that the gateway adds to streams.

std::string refusal(std::size_t before, std::string_view word) {
    return test::response(400, std::string(before, ' ') + std::string(word));
}

TEST_F(AwaitAnswerTest, ARefusedUsageOptionIsToBeLeftOut) {
    backend(ScriptedBackend::always(refusal(100, "unknown continuous_usage_stats")));
    ask(true);
    const auto again = outcome();
    ASSERT_TRUE(again);
    EXPECT_TRUE(*again);
}

TEST_F(AwaitAnswerTest, Another400IsTheAnswerAndWhole) {
    backend(ScriptedBackend::always(refusal(5000, "too long")));
    ask(true);
    const auto again = outcome();
    ASSERT_TRUE(again);
    EXPECT_FALSE(*again);
    EXPECT_TRUE(answer.complete);
    EXPECT_EQ(answer.held, std::string(5000, ' ') + "too long");
    EXPECT_EQ(error_status(answer), 400);
}

TEST_F(AwaitAnswerTest, OfALarge400OnlyItsBeginningIsLookedAt) {
    backend(ScriptedBackend::always(refusal(16 * kBound, "continuous_usage_stats")));
    ask(true);
    const auto again = outcome();
    ASSERT_TRUE(again);
    EXPECT_FALSE(*again);
    EXPECT_FALSE(answer.complete) << "the rest is relayed";
    EXPECT_GE(answer.held.size(), kBound);
    EXPECT_LT(answer.held.size(), 8 * kBound);
}

TEST_F(AwaitAnswerTest, A400ThatBreaksOffFails) {
    backend(ScriptedBackend::once_then_close(
        "HTTP/1.1 400 Bad Request\r\nContent-Length: 500\r\n\r\nunknown"));
    ask(true);
    EXPECT_EQ(code(outcome()), Errc::upstream_truncated);
}

TEST_F(AwaitAnswerTest, A400IsNotAboutAnOptionThatWasNotAddedOrIsInsistedOn) {
    backend(ScriptedBackend::always(refusal(0, "continuous_usage_stats")));
    for (const auto wish : {config::ContinuousUsage::on, config::ContinuousUsage::off}) {
        world.snapshot.reset();
        pool_settings().usage.continuous = wish;
        ask(true);
        const auto again = outcome();
        ASSERT_TRUE(again);
        EXPECT_FALSE(*again);
        EXPECT_EQ(answer.held, "");
        answer.clear();
    }
}

TEST_F(AwaitAnswerTest, A400ToWhatIsNoStreamIsTheAnswer) {
    backend(ScriptedBackend::always(refusal(0, "continuous_usage_stats")));
    ask(false);
    const auto again = outcome();
    ASSERT_TRUE(again);
    EXPECT_FALSE(*again);
    EXPECT_EQ(answer.held, "");
}

// Failures before anything can be relayed.

TEST_F(AwaitAnswerTest, SaysHowItFailed) {
    const struct {
        std::string bytes;
        bool stream;
        Errc expected;
    } cases[] = {
        {"", false, Errc::upstream_closed},
        {"HTTP/1.1 200", false, Errc::upstream_closed},
        {"garbage\r\n\r\n", false, Errc::upstream_bad_response},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false, Errc::upstream_truncated},
        {"HTTP/1.1 500 No\r\nContent-Length: 5\r\n\r\n", false, Errc::upstream_truncated},
        {test::stream_head(), true, Errc::upstream_truncated},
        {test::stream_head() + test::chunk("data: {\"cho"), true, Errc::upstream_truncated},
        {test::stream_head() + "zz\r\n", true, Errc::upstream_truncated},
    };
    for (const auto& [bytes, stream, expected] : cases) {
        backends.clear();
        backend(ScriptedBackend::once_then_close(bytes));
        ask(stream);
        EXPECT_EQ(to_string(code(outcome())), to_string(expected)) << bytes;
        answer.clear();
    }
}

TEST_F(AwaitAnswerTest, AnEndpointThatRefusesConnectionsIsSaidToHaveDoneSo) {
    backend(silent()).stop_accepting();
    ask(false);
    EXPECT_EQ(code(outcome()), Errc::upstream_connect_failed);
    EXPECT_EQ(answer.record->status, 0);
}

TEST_F(AwaitAnswerTest, EndsWithTheFirstLimitThatPasses) {
    pool_settings().timeouts = {.first_byte = 50s, .first_token = 60s, .idle = 70s, .total = 0s};
    backend(silent());
    ask(false);
    EXPECT_EQ(code(outcome_after(50s)), Errc::first_byte_timeout);
}

TEST_F(AwaitAnswerTest, TheBackendsTotalLimitCountsFromTheAttempt) {
    pool_settings().timeouts.total = 40s;
    backend(silent());
    ask(false);
    world.clock.advance(30s);
    world.loop.now();
    EXPECT_EQ(code(outcome_after(40s)), Errc::total_timeout);
}

TEST_F(AwaitAnswerTest, TheRoutesLimitsCountFromTheRequestAndFromTheAttempt) {
    pool_settings().timeouts.total = 100s;
    backend(silent());
    ask(false);
    auto rule = *resolved.matched;
    resolved.matched = &rule;
    world.clock.advance(30s);
    world.loop.now();
    rule.request_timeout = 90s;
    rule.backend_request_timeout = 80s;
    auto late = outcome_after(60s);
    EXPECT_EQ(code(late), Errc::total_timeout);
    EXPECT_NE(late.error().detail.find("90000 ms"), std::string::npos) << late.error().detail;
    answer.clear();

    rule.request_timeout = 0s;
    rule.backend_request_timeout = 20s;
    backends[0] = std::make_unique<ScriptedBackend>(silent());
    lead_to(pool(), {backends[0].get()});
    late = outcome_after(20s);
    EXPECT_EQ(code(late), Errc::total_timeout);
    EXPECT_NE(late.error().detail.find("20000 ms"), std::string::npos) << late.error().detail;
}

TEST_F(AwaitAnswerTest, AnAbortEndsItAtOnceAndClosesTheConnection) {
    backend(silent());
    ask(true);
    begin_attempt();
    Pending<Result<bool>> waiting(await_answer(scope(), request, resolved, answer));
    ASSERT_TRUE(turns->turn_until([this] { return backends[0]->request_count() > 0; }));
    text->abort.fire(AbortReason::client_closed);
    EXPECT_EQ(code(turns->finish(waiting)), Errc::client_closed);
    answer.clear();
    EXPECT_TRUE(turns->turn_until([this] { return backends[0]->gone_count() == 1; }));
}

// begin(): the account.

TEST_F(AwaitAnswerTest, BeginsWithTheEndpointAndItsAccount) {
    backend(silent());
    ask(false);
    EXPECT_EQ(demand(), (metrics::DemandCounts{1, 0, 1}));
    begin_attempt();
    EXPECT_EQ(demand(), (metrics::DemandCounts{0, 1, 1}));
    EXPECT_EQ(answer.record, scope().record.attempts.last());
    EXPECT_EQ(answer.record->backend_name.view(), "pool");
    EXPECT_EQ(answer.record->endpoint.view(), backends[0]->url());
    EXPECT_STREQ(answer.record->chosen_by, "only_one");
    EXPECT_EQ(answer.begun_at, world.loop.recent());
    EXPECT_EQ(endpoint(0)->in_flight.load(), 1U);
    EXPECT_FALSE(answer.picked_by_load);
    EXPECT_EQ(answer.prompt_tokens, estimated_prompt_tokens(request, *answer.backend));
    answer.clear();
    EXPECT_EQ(endpoint(0)->in_flight.load(), 0U);
}

TEST_F(AwaitAnswerTest, DistrustsKeptConnectionsWhenTold) {
    backend(ScriptedBackend::always(test::json_response({{"id", "x"}})));
    ask(false);
    for (const bool fresh : {false, false, true}) {
        answer.fresh_connection = fresh;
        ASSERT_TRUE(outcome());
        ASSERT_TRUE(answer.complete);
        EXPECT_EQ(answer.attempt->reused(), scope().record.attempts.total() == 2);
        answer.attempt->finish(*answer.backend->settings);
        answer.clear();
    }
    EXPECT_EQ(backends[0]->connections(), 2U);
}

// await_content(): what is kept until it is known whose stream it is.

TEST_F(AwaitAnswerTest, KeepsWhatComesBeforeTheFirstContent) {
    backend(two_parts(test::stream_head() + test::chunk(kRole), test::chunk(kContent)));
    ask(true);
    ASSERT_TRUE(outcome());
    Pending<Result<void>> waiting(await_content(answer));
    turns->settle();
    EXPECT_FALSE(waiting.done());
    backends[0]->release("go");
    ASSERT_TRUE(turns->finish(waiting));
    EXPECT_EQ(out(), std::string(kRole) + std::string(kContent));
}

TEST_F(AwaitAnswerTest, DoesNotReadOnWhenContentIsThere) {
    backend(two_parts(test::stream_head() + test::chunk(kContent), {}));
    ask(true);
    ASSERT_TRUE(content());
    EXPECT_EQ(out(), kContent);
    EXPECT_EQ(answer.held, "");
}

TEST_F(AwaitAnswerTest, TakesTheEndOfAStreamForItsContent) {
    backend(two_parts(test::stream_head() + test::chunk(kRole),
                      test::chunk(kDone) + std::string(test::kLastChunk)));
    backends[0]->release("go");
    ask(true);
    ASSERT_TRUE(content());
    EXPECT_TRUE(answer.complete);
    EXPECT_EQ(out(), std::string(kRole) + std::string(kDone));
}

TEST_F(AwaitAnswerTest, TakesManyEventsWithoutContentForContent) {
    backend([](BackendConnection& connection) {
        if (connection.read_request() && connection.send(test::stream_head())) {
            while (connection.send(test::chunk(kRole))) {
            }
        }
    });
    ask(true);
    ASSERT_TRUE(content());
    EXPECT_FALSE(answer.complete);
    EXPECT_GE(out().size(), kBound);
    EXPECT_LT(out().size(), 8 * kBound);
    EXPECT_TRUE(out().starts_with(kRole));
    EXPECT_TRUE(out().ends_with(kRole)) << "whole events only";
    answer.clear();
}

TEST_F(AwaitAnswerTest, FailsWithAStreamThatBreaksOffBeforeItsContent) {
    backend(then_close(test::stream_head() + test::chunk(kRole)));
    backends[0]->release("go");
    ask(true);
    EXPECT_EQ(code(content()), Errc::upstream_truncated);
}

}  // namespace
}  // namespace millrace::gateway
