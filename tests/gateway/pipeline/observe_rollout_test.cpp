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
