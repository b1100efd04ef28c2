#include "gateway/pipeline/observe_rollout.hpp"

#include <gtest/gtest.h>

#include <optional>

#include "routing/rollout.hpp"

namespace millrace::gateway {
namespace {

using namespace std::chrono_literals;
using metrics::AttemptOutcome;
using metrics::RequestRecord;

RequestRecord ended(AttemptOutcome outcome, std::uint16_t status) {
    RequestRecord record;
    auto& attempt = record.attempts.add();
    attempt.outcome = outcome;
    attempt.status = status;
    record.status = status;
    return record;
}

/// Whether the attempt failed; nothing when it says nothing.
std::optional<bool> failed(const RequestRecord& record) {
    const auto seen = observation_of(record, record.attempts.kept().back());
    return seen ? std::optional(seen->failed) : std::nullopt;
}

TEST(ObserveRollout, BlamesTheBackendForWhatItDidOnly) {
    const struct {
        AttemptOutcome outcome;
        std::uint16_t status;
        std::optional<bool> failed;
    } cases[] = {
        {AttemptOutcome::ok, 200, false},
        {AttemptOutcome::ok, 400, std::nullopt},
        {AttemptOutcome::ok, 404, std::nullopt},
        {AttemptOutcome::error_status, 429, std::nullopt},
        {AttemptOutcome::error_status, 500, true},
        {AttemptOutcome::error_status, 503, true},
        {AttemptOutcome::error_event, 200, true},
        {AttemptOutcome::error_event, 400, std::nullopt},
        {AttemptOutcome::error_event, 500, true},
        {AttemptOutcome::connect_failed, 0, true},
        {AttemptOutcome::connect_timeout, 0, true},
        {AttemptOutcome::closed, 0, true},
        {AttemptOutcome::bad_response, 0, true},
        {AttemptOutcome::truncated, 200, true},
        {AttemptOutcome::timeout, 0, true},
        {AttemptOutcome::client_closed, 200, std::nullopt},
        {AttemptOutcome::drained, 200, std::nullopt},
        {AttemptOutcome::internal, 0, std::nullopt},
    };
    for (const auto& [outcome, status, expected] : cases) {
        EXPECT_EQ(failed(ended(outcome, status)), expected) << to_string(outcome) << ' ' << status;
    }
    auto stale = ended(AttemptOutcome::closed, 0);
    stale.attempts.last()->retried = metrics::RetryReason::stale_connection;
    EXPECT_EQ(failed(stale), std::nullopt);
}

RequestRecord stream() {
    auto record = ended(AttemptOutcome::ok, 200);
    record.first_token = 700ms;
    record.queue_wait = 200ms;
    record.content_time = 990ms;
    record.content_events = 10;
    record.tokens.prompt = 1000;
    record.tokens.completion = 100;
    return record;
}

TEST(ObserveRollout, TakesTimesWithoutOurOwnLineAndByToken) {
    const auto record = stream();
    const auto seen = observation_of(record, record.attempts.kept()[0]);
    ASSERT_TRUE(seen && seen->first_token && seen->token_gap);
    EXPECT_DOUBLE_EQ(*seen->first_token, routing::first_token_value(500ms, 1000));
    EXPECT_DOUBLE_EQ(*seen->token_gap, routing::token_gap_value(10ms));
}

TEST(ObserveRollout, CountsEventsWhereTokensAreNotKnown) {
    auto record = stream();
    record.tokens = {};
    EXPECT_DOUBLE_EQ(*observation_of(record, record.attempts.kept()[0])->token_gap,
                     routing::token_gap_value(110ms));
}

TEST(ObserveRollout, TakesNoGapFromAFewTokensOrOneRead) {
    auto few = stream();
    few.tokens.completion = 7;
    few.content_events = 7;
    EXPECT_FALSE(observation_of(few, few.attempts.kept()[0])->token_gap);
    auto at_once = stream();
    at_once.content_time = 0ms;
    EXPECT_FALSE(observation_of(at_once, at_once.attempts.kept()[0])->token_gap);
}

/// An answer of 2000 tokens for half a cent.
RequestRecord priced() {
    auto record = ended(AttemptOutcome::ok, 200);
    auto& attempt = *record.attempts.last();
    attempt.billed = true;
    attempt.tokens.prompt = 1900;
    attempt.tokens.completion = 100;
    attempt.dollars = 0.005;
    record.exactness = metrics::Exactness::exact;
    return record;
}

std::optional<double> cost_of(const RequestRecord& record) {
    return observation_of(record, record.attempts.kept().back()).value().cost;
}

TEST(ObserveRollout, TakesTheCostOfATokenWhereItIsKnown) {
    EXPECT_DOUBLE_EQ(cost_of(priced()).value(), routing::cost_value(2.5e-6));
    auto record = priced();
    record.attempts.last()->tokens.completion.reset();  // an embedding
    EXPECT_DOUBLE_EQ(cost_of(record).value(), routing::cost_value(0.005 / 1900));
    record.exactness = metrics::Exactness::partial;
    EXPECT_TRUE(cost_of(record));
    record.exactness = metrics::Exactness::estimated;
    EXPECT_FALSE(cost_of(record)) << "a guess";
    record = priced();
    record.attempts.last()->dollars = 0;
    EXPECT_FALSE(cost_of(record)) << "no price";
    record = priced();
    record.attempts.last()->tokens = {};
    EXPECT_FALSE(cost_of(record)) << "nothing to divide by";
    record = priced();
    record.attempts.last()->continues = true;
    EXPECT_FALSE(cost_of(record)) << "its prompt was another attempt's answer";
    record = priced();
    record.attempts.last()->outcome = AttemptOutcome::truncated;
    EXPECT_FALSE(cost_of(record)) << "did not end well";
}

TEST(ObserveRollout, TakesTheCostOfTheAttemptThatAnswered) {
    auto record = ended(AttemptOutcome::connect_failed, 0);
    record.attempts.add() = *priced().attempts.last();
    record.exactness = metrics::Exactness::exact;
    routing::RolloutTraffic traffic({"m", "v1", "v2", ""}, 1, 1);
    observe(traffic, routing::RolloutArm::canary, 0, record);
    EXPECT_EQ(traffic.totals(routing::RolloutArm::canary).cost.count, 1U);
    EXPECT_DOUBLE_EQ(traffic.totals(routing::RolloutArm::canary).cost.sum,
                     routing::cost_value(2.5e-6));
}

TEST(ObserveRollout, CountsEveryAttemptAndTimesOnlyUndisturbedOnes) {
    auto record = stream();
    auto& first = *record.attempts.last();
    first.outcome = AttemptOutcome::connect_failed;
    first.status = 0;
    auto& second = record.attempts.add();
    second.outcome = AttemptOutcome::ok;
    second.status = 200;
    routing::RolloutTraffic traffic({"m", "v1", "v2", ""}, 1, 1);
    observe(traffic, routing::RolloutArm::canary, 0, record);
    const auto totals = traffic.totals(routing::RolloutArm::canary);
    EXPECT_EQ(totals.requests, 2U);
    EXPECT_EQ(totals.errors, 1U);
    EXPECT_EQ(totals.first_token.count, 0U);
    EXPECT_EQ(traffic.totals(routing::RolloutArm::stable).requests, 0U);
}

}  // namespace
}  // namespace millrace::gateway
