// Two attempts of one request beside each other: who wins, and what is left of the other.
#include "gateway/pipeline/race.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <string>

#include "gateway/pipeline/await_answer.hpp"
#include "routing/hedge.hpp"
#include "tests/gateway/pipeline/live_world.hpp"

namespace millrace::gateway {
namespace {

using namespace testing_support;
using metrics::AttemptOutcome;
using metrics::HedgeOutcome;

class RaceTest : public LiveTest {
protected:
    RaceTest() { model().hedge = config::Hedge{.after = 100ms, .budget_percent = 100}; }

    /// The first attempt goes to the first backend, the second one to whichever else is there.
    void start(bool stream) {
        ask(stream);
        begin_race();
    }
    void begin_race() {
        hedge.emplace(text->abort, world.scratch);
        first.abort = &hedge->fork.branch(0);
        hedge->fork.renew();
        begin(scope(), request, resolved, selection,
              {routing::EndpointLease::try_take(endpoint(0)), routing::Reason::only_one, 0}, first);
        racing.emplace(race(scope(), request, resolved, selection, first, *hedge));
    }
    bool asked(std::size_t index) {
        return turns->turn_until([&] { return backends[index]->request_count() == 1; });
    }
    void await_late() {
        ASSERT_TRUE(asked(0));
        turns->pass(90ms);
        EXPECT_EQ(backends.back()->connections(), backends.size() == 1 ? 1U : 0U) << "too soon";
        turns->pass(20ms);
    }
    void await_second() {
        await_late();
        ASSERT_TRUE(asked(1));
    }
    Raced ended() { return turns->finish(*racing); }
    bool is_closed(std::size_t index) {
        return turns->turn_until([&] { return backends[index]->gone_count() == 1; });
    }
    std::uint64_t hedges(HedgeOutcome outcome) {
        return counted().hedges[metrics::index_of(outcome)].value();
    }
    const metrics::AttemptRecord& attempt(std::size_t index) {
        return scope().record.attempts.kept()[index];
    }
    routing::Hedging& hedging() { return *resolved.decision.rule->hedging; }
    /// There is no second attempt, now or later, and the first one is the answer.
    void expect_alone() {
        turns->pass(10s);
        EXPECT_EQ(scope().record.attempts.total(), 1U);
        backends[0]->release("go");
        const auto raced = ended();
        EXPECT_EQ(raced.answer, &first);
        EXPECT_TRUE(raced.outcome);
        EXPECT_FALSE(raced.hedged);
        EXPECT_EQ(hedges(HedgeOutcome::won) + hedges(HedgeOutcome::lost), 0U);
    }
    void expect_won_by_second(const Raced& raced) {
        EXPECT_EQ(raced.answer, &hedge->second);
        EXPECT_TRUE(raced.outcome);
        EXPECT_TRUE(raced.hedged);
        EXPECT_EQ(hedges(HedgeOutcome::won), 1U);
        EXPECT_EQ(hedges(HedgeOutcome::lost), 0U);
        EXPECT_EQ(hedge->second.record, scope().record.attempts.last());
        EXPECT_EQ(attempt(1).endpoint.view(), backends[1]->url());
        EXPECT_EQ(attempt(0).endpoint.view(), backends[0]->url());
    }
    void expect_won_by_first(const Raced& raced) {
        EXPECT_EQ(raced.answer, &first);
        EXPECT_TRUE(raced.outcome);
        EXPECT_TRUE(raced.hedged);
        EXPECT_EQ(hedges(HedgeOutcome::won), 0U);
        EXPECT_EQ(hedges(HedgeOutcome::lost), 1U);
        // The account is about the latest attempt, so the one that is relayed is that.
        EXPECT_EQ(first.record, scope().record.attempts.last());
        EXPECT_EQ(attempt(1).endpoint.view(), backends[0]->url());
        EXPECT_EQ(attempt(0).endpoint.view(), backends[1]->url());
    }
    /// One live attempt is left of the two.
    void expect_one_left(std::size_t index) {
        EXPECT_EQ(endpoint(index)->in_flight.load(), 1U);
        EXPECT_EQ(endpoint(1 - index)->in_flight.load(), 0U);
        EXPECT_EQ(demand().in_flight, 1U);
        EXPECT_EQ(demand().queued, 0U);
    }

    routing::Selection selection;
    Answer first{world.scratch};
    std::optional<Hedge> hedge;
    std::optional<Pending<Raced>> racing;
};

/// A stream whose content comes after release("go").
ScriptedBackend::Script content_later() {
    return two_parts(test::stream_head() + test::chunk(kRole), test::chunk(kContent));
}

TEST_F(RaceTest, IsNoneWhenTheFirstIsInTime) {
    backend(ScriptedBackend::always(whole_stream()));
    backend(silent());
    start(true);
    const auto raced = ended();
    EXPECT_EQ(raced.answer, &first);
    EXPECT_FALSE(raced.hedged);
    turns->pass(1s);
    EXPECT_EQ(backends[1]->connections(), 0U);
    EXPECT_EQ(hedges(HedgeOutcome::won) + hedges(HedgeOutcome::lost), 0U);
    EXPECT_EQ(scope().record.attempts.total(), 1U);
}

TEST_F(RaceTest, TheSecondWinsAndTheFirstIsCancelled) {
    backend(silent());
    backend(ScriptedBackend::always(whole_stream()));
    start(true);
    await_second();
    expect_won_by_second(ended());
    EXPECT_TRUE(is_closed(0));
    EXPECT_EQ(attempt(0).outcome, AttemptOutcome::superseded);
    EXPECT_FALSE(attempt(0).retried) << "nothing was repeated";
    expect_one_left(1);
    EXPECT_FALSE(text->abort) << "the request goes on";
}

TEST_F(RaceTest, TheSecondGoesElsewhereEvenIfThatIsBusier) {
    backend(silent());
    backend(ScriptedBackend::always(whole_stream()));
    ask(true);
    const routing::EndpointLease one(endpoint(1));
    const routing::EndpointLease two(endpoint(1));
    begin_race();
    await_second();
    expect_won_by_second(ended());
}

TEST_F(RaceTest, TheFirstWinsAlthoughItWasLate) {
    backend(content_later());
    backend(silent());
    start(true);
    await_second();
    backends[0]->release("go");
    expect_won_by_first(ended());
    EXPECT_TRUE(is_closed(1));
    EXPECT_EQ(attempt(0).outcome, AttemptOutcome::superseded);
    expect_one_left(0);
    EXPECT_EQ(first.scratch->out.size(), 2U) << "what was held back, and the content";
}

TEST_F(RaceTest, WhatTheLoserProducedIsNotBilled) {
    backend(two_parts(
        test::stream_head() + test::chunk("data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":"
                                          "\"assistant\"}}],\"usage\":{\"prompt_tokens\":123,"
                                          "\"completion_tokens\":0}}\n\n"),
        {}));
    backend(content_later());
    start(true);
    await_second();
    turns->settle();  // so that the loser's event is there
    ASSERT_TRUE(
        turns->turn_until([this] { return first.filter() && first.filter()->facts().events; }));
    backends[1]->release("go");
    expect_won_by_second(ended());
    EXPECT_EQ(attempt(0).tokens.prompt, 123U) << "on record";
    EXPECT_FALSE(attempt(0).billed);
    EXPECT_FALSE(scope().record.tokens.any());
    EXPECT_FALSE(scope().record.exactness);
}

TEST_F(RaceTest, OneAnswerIsTakenWhenBothAreThere) {
    std::atomic<int> answered{0};
    const auto together = [&answered](BackendConnection& connection) {
        if (connection.read_request() && connection.wait_for("go") &&
            connection.send(whole_stream())) {
            ++answered;
            connection.wait_until_gone();
        }
    };
    backend(together);
    backend(together);
    start(true);
    await_second();
    backends[0]->release("go");
    backends[1]->release("go");
    ASSERT_TRUE(test::eventually([&] { return answered == 2; }));
    expect_won_by_first(ended());
    EXPECT_EQ(attempt(0).outcome, AttemptOutcome::superseded);
    EXPECT_TRUE(is_closed(1));
    expect_one_left(0);
}

TEST_F(RaceTest, WaitsForContentNotForTheFirstEvent) {
    backend(content_later());
    backend(ScriptedBackend::always(whole_stream()));
    start(true);
    ASSERT_TRUE(
        turns->turn_until([this] { return first.filter() && first.filter()->facts().events; }));
    await_second();
    expect_won_by_second(ended());
}

TEST_F(RaceTest, AnAnswerThatIsNoStreamWinsByItsFirstBytes) {
    backend(silent());
    backend(ScriptedBackend::always(test::json_response({{"id", "x"}})));
    start(false);
    await_second();
    expect_won_by_second(ended());
    EXPECT_EQ(demand().pending, 1U) << "whose answer it is was not known then";
}

TEST_F(RaceTest, AnAbortEndsBoth) {
    backend(silent());
    backend(silent());
    start(true);
    await_second();
    text->abort.fire(AbortReason::client_closed);
    const auto raced = ended();
    ASSERT_FALSE(raced.outcome);
    EXPECT_EQ(raced.outcome.error().code, Errc::client_closed);
    EXPECT_TRUE(raced.hedged);
    const auto& other = raced.answer == &first ? hedge->second : first;
    EXPECT_FALSE(other.attempt) << "over";
    EXPECT_EQ(attempt(0).outcome, AttemptOutcome::client_closed) << "nobody won";
    EXPECT_EQ(raced.answer->record, scope().record.attempts.last());
    raced.answer->clear();
    EXPECT_TRUE(is_closed(0));
    EXPECT_TRUE(is_closed(1));
    EXPECT_EQ(endpoint(0)->in_flight.load() + endpoint(1)->in_flight.load(), 0U);
}

TEST_F(RaceTest, ADrainInARaceIsSaidToBeOne) {
    backend(silent());
    backend(silent());
    start(true);
    await_second();
    text->abort.fire(AbortReason::drain_deadline);
    const auto raced = ended();
    ASSERT_FALSE(raced.outcome);
    EXPECT_EQ(raced.outcome.error().code, Errc::drain_deadline);
    EXPECT_EQ(attempt(0).outcome, AttemptOutcome::drained);
}

TEST_F(RaceTest, AnAbortBeforeItIsLateBeginsNoSecond) {
    backend(silent());
    backend(silent());
    start(true);
    ASSERT_TRUE(asked(0));
    text->abort.fire(AbortReason::client_closed);
    const auto raced = ended();
    EXPECT_EQ(raced.answer, &first);
    EXPECT_FALSE(raced.outcome);
    EXPECT_FALSE(raced.hedged);
    EXPECT_EQ(backends[1]->connections(), 0U);
}

TEST_F(RaceTest, AFailureBeforeItIsLateIsForARetry) {
    backend(ScriptedBackend::once_then_close(""));
    backend(silent());
    start(true);
    const auto raced = ended();
    EXPECT_EQ(raced.answer, &first);
    ASSERT_FALSE(raced.outcome);
    EXPECT_EQ(raced.outcome.error().code, Errc::upstream_closed);
    EXPECT_FALSE(raced.hedged);
    EXPECT_TRUE(first.attempt) << "its caller looks at it";
}

TEST_F(RaceTest, WhenBothFailTheLastFailureIsTheOutcome) {
    backend(then_close(""));
    backend(then_close(test::stream_head()));
    start(true);
    await_second();
    backends[0]->release("go");
    ASSERT_TRUE(turns->turn_until([this] { return !first.attempt; }));
    EXPECT_EQ(endpoint(0)->in_flight.load(), 0U) << "its slot is for others at once";
    EXPECT_EQ(attempt(0).outcome, AttemptOutcome::closed);
    EXPECT_EQ(demand().in_flight, 1U);
    EXPECT_FALSE(racing->done());
    backends[1]->release("go");
    const auto raced = ended();
    EXPECT_EQ(raced.answer, &hedge->second);
    ASSERT_FALSE(raced.outcome);
    EXPECT_EQ(raced.outcome.error().code, Errc::upstream_truncated);
    EXPECT_TRUE(raced.hedged);
}

TEST_F(RaceTest, TheFirstGoesOnWhenTheSecondFails) {
    backend(content_later());
    backend(ScriptedBackend::once_then_close(""));
    start(true);
    await_second();
    ASSERT_TRUE(turns->turn_until([this] { return !hedge->second.attempt; }));
    EXPECT_FALSE(racing->done());
    EXPECT_EQ(endpoint(1)->in_flight.load(), 0U);
    backends[0]->release("go");
    expect_won_by_first(ended());
    EXPECT_EQ(attempt(0).outcome, AttemptOutcome::closed);
}

TEST_F(RaceTest, AnAnswerAboutTheEndpointDoesNotWin) {
    for (const int status : {429, 502, 503, 504}) {
        racing.reset();
        first.clear();
        hedge.reset();
        backends.clear();
        backend(content_later());
        backend(ScriptedBackend::always(test::json_response({{"error", "busy"}}, status)));
        start(true);
        await_second();
        ASSERT_TRUE(turns->turn_until([this] { return !hedge->second.attempt; })) << status;
        EXPECT_EQ(attempt(1).outcome, AttemptOutcome::error_status);
        EXPECT_FALSE(racing->done());
        backends[0]->release("go");
        const auto raced = ended();
        EXPECT_EQ(raced.answer, &first);
        EXPECT_TRUE(raced.outcome);
    }
}

TEST_F(RaceTest, AnAnswerAboutTheRequestWins) {
    for (const int status : {400, 404, 500}) {
        racing.reset();
        first.clear();
        hedge.reset();
        backends.clear();
        backend(silent());
        backend(ScriptedBackend::always(test::json_response({{"error", "x"}}, status)));
        start(true);
        await_second();
        const auto raced = ended();
        EXPECT_EQ(raced.answer, &hedge->second) << status;
        EXPECT_TRUE(raced.outcome);
        EXPECT_EQ(error_status(*raced.answer), status);
    }
}

TEST_F(RaceTest, ARefusedUsageOptionWins) {
    backend(silent());
    backend(ScriptedBackend::always(test::response(400, "continuous_usage_stats")));
    start(true);
    await_second();
    const auto raced = ended();
    expect_won_by_second(raced);
    EXPECT_TRUE(*raced.outcome) << "make it again";
}

// What keeps a second attempt from being made.

TEST_F(RaceTest, AnEmptyBudgetAllowsNoSecond) {
    model().hedge->budget_percent = 0;
    backend(content_later());
    backend(silent());
    ask(true);
    const auto taken = hedging().budget.take(0, 0, routing::kHedgesAlways);
    ASSERT_TRUE(taken);
    begin_race();
    await_late();
    expect_alone();
    EXPECT_EQ(backends[1]->connections(), 0U);
    EXPECT_EQ(endpoint(1)->in_flight.load(), 0U);
}

TEST_F(RaceTest, TheBudgetIsAPartOfThePoolsRequests) {
    model().hedge->budget_percent = 50;
    backend(content_later());
    backend(silent());
    ask(true);
    const auto taken = hedging().budget.take(0, 0, routing::kHedgesAlways);
    // With the first attempt four are in flight, so two second ones may be.
    std::vector<routing::EndpointLease> others;
    for (int i = 0; i < 3; ++i) {
        others.push_back(routing::EndpointLease::try_take(endpoint(0)));
    }
    begin_race();
    await_second();
    EXPECT_FALSE(hedging().budget.take(4, 50, 1)) << "both are taken while it runs";
    backends[0]->release("go");
    EXPECT_TRUE(ended().hedged);
    hedge->second.retry = {};
    EXPECT_TRUE(hedging().budget.take(4, 50, 1));
}

TEST_F(RaceTest, AnotherEndpointIsNeeded) {
    backend(content_later());
    start(true);
    await_late();
    expect_alone();
    EXPECT_EQ(backends[0]->connections(), 1U);
}

TEST_F(RaceTest, AFreeSlotIsNeeded) {
    backend(content_later());
    backend(silent());
    ask(true);
    pool().set_limits({1, {}, {}});
    const auto busy = routing::EndpointLease::try_take(endpoint(1));
    ASSERT_TRUE(busy);
    begin_race();
    await_late();
    expect_alone();
    EXPECT_EQ(backends[1]->connections(), 0U);
}

TEST_F(RaceTest, TheLastAttemptStaysAlone) {
    backend(content_later());
    backend(silent());
    ask(true);
    for (std::size_t i = 1; i < metrics::kMaxAttempts; ++i) {
        scope().record.attempts.add();
    }
    begin_race();
    await_late();
    turns->pass(10s);
    EXPECT_EQ(backends[1]->connections(), 0U);
    backends[0]->release("go");
    EXPECT_FALSE(ended().hedged);
}

TEST_F(RaceTest, WithoutADelayOrALearnedOneNobodyIsLate) {
    model().hedge->after = 0ms;
    backend(content_later());
    backend(silent());
    start(true);
    ASSERT_TRUE(asked(0));
    expect_alone();
    EXPECT_EQ(backends[1]->connections(), 0U);
}

TEST_F(RaceTest, TheLearnedDelayIsThatOfStreamsOrOfOtherAnswers) {
    model().hedge->after = 0ms;
    backend(content_later());
    backend(silent());
    ask(true);
    for (std::uint32_t i = 0; i < routing::FirstTokenP95::kMinSamples; ++i) {
        hedging().streams.observe(2s);
        hedging().answers.observe(10ms);
    }
    begin_race();
    ASSERT_TRUE(asked(0));
    const auto learned = *hedging().streams.value();
    turns->pass(learned - 20ms);
    EXPECT_EQ(backends[1]->connections(), 0U);
    turns->pass(40ms);
    ASSERT_TRUE(asked(1));
    backends[0]->release("go");
    EXPECT_TRUE(ended().hedged);
}

TEST_F(RaceTest, TheWinnerTeachesTheDelayAndAFailureDoesNot) {
    const auto almost = [this] {
        for (std::uint32_t i = 1; i < routing::FirstTokenP95::kMinSamples; ++i) {
            hedging().streams.observe(1s);
        }
    };
    backend(ScriptedBackend::once_then_close(""));
    ask(true);
    almost();
    begin_race();
    EXPECT_FALSE(ended().outcome);
    EXPECT_FALSE(hedging().streams.value());
    racing.reset();
    first.clear();
    hedge.reset();
    backends.clear();

    backend(silent());
    backend(ScriptedBackend::always(whole_stream()));
    ask(true);
    begin_race();
    await_second();
    EXPECT_TRUE(ended().outcome);
    EXPECT_TRUE(hedging().streams.value()) << "the fiftieth";
    EXPECT_FALSE(hedging().answers.value());
}

TEST_F(RaceTest, LeavesTheSelectionAsItWas) {
    backend(silent());
    backend(ScriptedBackend::always(whole_stream()));
    backend(silent());
    ask(true);
    selection.avoid = endpoint(2).get();
    begin_race();
    ASSERT_TRUE(asked(0));
    turns->pass(110ms);
    EXPECT_TRUE(selection.avoid.contains(endpoint(2).get()));
    EXPECT_FALSE(selection.avoid.contains(endpoint(0).get()));
    text->abort.fire(AbortReason::client_closed);
    ended();
}

}  // namespace
}  // namespace millrace::gateway
