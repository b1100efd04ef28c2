#include "gateway/pipeline/count_tokens.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/gateway/pipeline/world.hpp"

namespace millrace::gateway {
namespace {

using metrics::AttemptOutcome;
using metrics::Exactness;
using testing_support::PipelineWorld;
using testing_support::TextRequest;

TEST(AttemptOutcomeOf, SaysWhatBecameOfTheAttempt) {
    const std::pair<Errc, AttemptOutcome> cases[] = {
        {Errc::upstream_connect_failed, AttemptOutcome::connect_failed},
        {Errc::upstream_connect_timeout, AttemptOutcome::connect_timeout},
        {Errc::upstream_closed, AttemptOutcome::closed},
        {Errc::upstream_bad_response, AttemptOutcome::bad_response},
        {Errc::upstream_truncated, AttemptOutcome::truncated},
        {Errc::upstream_error_event, AttemptOutcome::error_event},
        {Errc::first_byte_timeout, AttemptOutcome::timeout},
        {Errc::first_token_timeout, AttemptOutcome::timeout},
        {Errc::idle_timeout, AttemptOutcome::timeout},
        {Errc::total_timeout, AttemptOutcome::timeout},
        {Errc::client_closed, AttemptOutcome::client_closed},
        {Errc::client_write_stalled, AttemptOutcome::client_closed},
        {Errc::drain_deadline, AttemptOutcome::drained},
    };
    std::set<Errc> known;
    for (const auto& [code, outcome] : cases) {
        known.insert(code);
        EXPECT_EQ(attempt_outcome(code), outcome) << to_string(code);
    }
    // No attempt ends with any other code, unless by a bug.
    for (std::size_t i = 0; i <= static_cast<std::size_t>(Errc::kErrcCount); ++i) {
        const auto code = static_cast<Errc>(i);
        if (!known.contains(code)) {
            EXPECT_EQ(attempt_outcome(code), AttemptOutcome::internal) << to_string(code);
        }
    }
}

/// An attempt that began 9 s ago at an endpoint of 10 slots.
double dollars_at(config::Dollars per_hour, AttemptOutcome outcome) {
    PipelineWorld world;
    world.config.backends["pool"].cost_per_hour = per_hour;
    world.publish();
    TextRequest text(world, "GET /v1/models HTTP/1.1\r\nHost: h\r\n\r\n");
    const auto pool = world.state.pools.find("pool");
    routing::PoolLimits limits;
    limits.slots_per_endpoint = 10;
    pool->set_limits(limits);
    Answer answer(world.scratch);
    answer.pool = pool.get();
    answer.backend = &world.snapshot->backends.at(pool->id());
    answer.endpoint = routing::EndpointLease(pool->snapshot()->endpoints.front());
    answer.begun_at = world.loop.recent() - std::chrono::seconds(9);
    answer.record = &text.scope->record.attempts.add();
    answer.attempt.emplace(world.loop, world.upstreams, text.abort, AttemptOptions{});
    record_attempt(*text.scope, answer, outcome);
    return answer.record->dollars;
}

TEST(RecordAttempt, PricesTheSlotForTheTimeItWasTaken) {
    EXPECT_DOUBLE_EQ(dollars_at({4'000'000}, AttemptOutcome::ok), 0.001);
    EXPECT_DOUBLE_EQ(dollars_at({4'000'000}, AttemptOutcome::truncated), 0.001);
    EXPECT_EQ(dollars_at({}, AttemptOutcome::ok), 0) << "not known";
}

/// One answered chat request of 4000 prompt bytes.
class CountTokensTest : public testing::Test {
protected:
    CountTokensTest() {
        world.publish();
        text.emplace(world,
                     "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n");
        request.surface = &openai::surface_of(openai::Api::chat_completions);
        request.fields.emplace();
        request.fields->prompt_bytes = 4000;
        answer.backend = &world.snapshot->backends.front();
        answer.record = &text->scope->record.attempts.add();
        answer.record->status = 200;
    }
    void stream(std::string_view events) {
        answer.read_events(metrics::Dialect::chat, openai::ShowUsage::nothing);
        std::vector<std::string_view> out;
        answer.filter()->feed(events, out);
    }
    const metrics::RequestRecord& count() {
        count_tokens(*text->scope, request, answer);
        return text->scope->record;
    }
    float learned() const { return answer.backend->learned->tokens_per_byte.load(); }

    static constexpr std::string_view kContent =
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n";
    static constexpr std::string_view kUsage =
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":2000,\"completion_tokens\":7}}\n\n";

    PipelineWorld world;
    std::optional<TextRequest> text;
    Request request;
    Answer answer{world.scratch};
};

TEST_F(CountTokensTest, BillsTheFinalUsageExactlyAndLearnsFromIt) {
    stream(std::string(kContent) + std::string(kUsage));
    const float before = learned();
    const auto& record = count();
    EXPECT_EQ(record.exactness, Exactness::exact);
    EXPECT_EQ(record.tokens.prompt, 2000U);
    EXPECT_EQ(record.tokens.completion, 7U);
    EXPECT_TRUE(record.attempts.last()->billed);
    EXPECT_EQ(record.attempts.last()->tokens, record.tokens);
    EXPECT_FLOAT_EQ(learned(), before + 0.1F * (0.5F - before));
}

TEST_F(CountTokensTest, LearnsNothingFromShortPrompts) {
    request.fields->prompt_bytes = 100;
    stream(kUsage);
    const float before = learned();
    count();
    EXPECT_FLOAT_EQ(learned(), before);
}

TEST_F(CountTokensTest, EstimatesFromSizesWhenTheBackendSaysNothing) {
    stream(std::string(kContent) + std::string(kContent));
    answer.backend->learned->tokens_per_byte = 0.5F;
    const auto& record = count();
    EXPECT_EQ(record.exactness, Exactness::estimated);
    EXPECT_EQ(record.tokens.prompt, 2000U);
    EXPECT_EQ(record.tokens.completion, 2U);
    EXPECT_FLOAT_EQ(learned(), 0.5F) << "an estimate teaches nothing";
}

TEST_F(CountTokensTest, BillsNothingForAnErrorOrOutsideTheApi) {
    stream(kUsage);
    text->scope->record.attempts.last()->status = 429;
    EXPECT_FALSE(count().exactness);
    EXPECT_FALSE(text->scope->record.attempts.last()->billed);
    text->scope->record.attempts.last()->status = 200;
    request.surface = nullptr;
    EXPECT_FALSE(count().exactness);
    EXPECT_FALSE(count().tokens.any());
}

TEST_F(CountTokensTest, RecordsWhatNobodyGetsWithoutBillingIt) {
    stream(std::string(kContent) + std::string(kUsage));
    count_unbilled(request, answer);
    EXPECT_EQ(answer.record->tokens.prompt, 2000U);
    EXPECT_FALSE(answer.record->billed);
    EXPECT_FALSE(text->scope->record.exactness);
    EXPECT_FALSE(text->scope->record.tokens.any());
}

TEST_F(CountTokensTest, DoesNotInventUsageForSurfacesThatReportNone) {
    request.surface = &openai::surface_of(openai::Api::tokenize);
    EXPECT_FALSE(count().exactness);
    EXPECT_FALSE(text->scope->record.attempts.last()->billed);
}

}  // namespace
}  // namespace millrace::gateway
