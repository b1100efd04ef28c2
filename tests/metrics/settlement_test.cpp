#include "metrics/settlement.hpp"

#include <gtest/gtest.h>

#include "metrics/registry.hpp"
#include "tests/metrics/exposition.hpp"

namespace millrace::metrics {
namespace {

using testing::value_of;

class Settlement : public ::testing::Test {
protected:
    RequestRecord record() {
        RequestRecord record;
        record.variant = variant_;
        record.tenant = tenant_;
        record.outcome = Outcome::completed;
        record.committed = Commit::first_byte;
        record.exactness = Exactness::exact;
        return record;
    }

    Registry registry_{1};
    VariantId variant_ = registry_.intern_variant("m", "v", "ns");
    TenantId tenant_ = registry_.intern_tenant("acme");
    BackendId backend_ = registry_.intern_backend("pool");
};

TEST_F(Settlement, AddsTokensToTheVariantAndTheTenant) {
    RequestRecord done = record();
    done.tokens = {
        .prompt = 100, .cached = 60, .completion = 20, .reasoning = 5, .cache_write = {}};
    settle(registry_.slot(0), done);
    const std::pair<const char*, double> expected[] = {
        {"prompt", 100}, {"cached", 60}, {"completion", 20}, {"reasoning", 5}};
    for (const auto& [kind, tokens] : expected) {
        EXPECT_EQ(value_of(registry_, "millrace_tokens_total", {{"model", "m"}, {"kind", kind}}),
                  tokens);
        EXPECT_EQ(value_of(registry_, "millrace_tenant_tokens_total",
                           {{"tenant", "acme"}, {"model", "m"}, {"kind", kind}}),
                  tokens);
    }
    EXPECT_EQ(
        value_of(registry_, "millrace_settlements_total", {{"model", "m"}, {"exactness", "exact"}}),
        1);
    EXPECT_EQ(value_of(registry_, "millrace_commits_total",
                       {{"model", "m"}, {"committed", "first_byte"}}),
              1);
}

TEST_F(Settlement, ShowsNoTenantSeriesForARequestWithoutTokens) {
    settle(registry_.slot(0), record());
    EXPECT_EQ(registry_.render().find("acme"), std::string::npos);
}

TEST_F(Settlement, CountsEveryAttemptAndBillsOnlyTheLast) {
    RequestRecord done = record();
    AttemptRecord& first = done.attempts.add();
    first.backend = backend_;
    first.outcome = AttemptOutcome::closed;
    first.connection = ConnectionKind::reused;
    first.retried = RetryReason::stale_connection;
    first.tokens.prompt = 7;
    AttemptRecord& second = done.attempts.add();
    second.backend = backend_;
    second.outcome = AttemptOutcome::ok;
    second.connection = ConnectionKind::fresh;
    second.status = 200;
    second.billed = true;
    second.tokens.prompt = 9;
    done.tokens.prompt = 9;
    settle(registry_.slot(0), done);
    const auto count = [&](const char* name, const char* label, const char* value) {
        return value_of(registry_, name, {{"backend", "pool"}, {label, value}});
    };
    EXPECT_EQ(count("millrace_upstream_attempts_total", "outcome", "closed"), 1);
    EXPECT_EQ(count("millrace_upstream_attempts_total", "outcome", "ok"), 1);
    EXPECT_EQ(count("millrace_upstream_connections_total", "kind", "reused"), 1);
    EXPECT_EQ(count("millrace_upstream_connections_total", "kind", "new"), 1);
    EXPECT_EQ(count("millrace_upstream_responses_total", "status", "2xx"), 1);
    EXPECT_EQ(count("millrace_retries_total", "reason", "stale_connection"), 1);
    EXPECT_EQ(count("millrace_unbilled_tokens_total", "kind", "prompt"), 7);
    EXPECT_EQ(value_of(registry_, "millrace_tokens_total", {{"model", "m"}, {"kind", "prompt"}}),
              9);
}

TEST_F(Settlement, CountsARefusalByItsCodeAndKeepsItOutOfTheDurations) {
    RequestRecord refused = record();
    refused.outcome = outcome_of(Errc::bad_json);
    refused.error = Errc::bad_json;
    refused.duration = Duration(1000);
    settle(registry_.slot(0), refused);
    count_refusal(registry_.slot(0), Errc::too_many_connections);
    EXPECT_EQ(value_of(registry_, "millrace_refusals_total", {{"code", "bad_json"}}), 1);
    EXPECT_EQ(value_of(registry_, "millrace_refusals_total", {{"code", "too_many_connections"}}),
              1);
    EXPECT_EQ(value_of(registry_, "millrace_request_duration_seconds_count", {{"model", "m"}}), 0);
}

TEST_F(Settlement, ObservesOnlyTimesThatAreKnown) {
    RequestRecord done = record();
    done.duration = std::chrono::seconds(1);
    done.first_token = std::chrono::milliseconds(30);
    done.attempts.add().backend = backend_;
    settle(registry_.slot(0), done);
    const auto observed = [&](const char* name) { return value_of(registry_, name, {}); };
    EXPECT_EQ(observed("millrace_request_duration_seconds_count"), 1);
    EXPECT_EQ(observed("millrace_time_to_first_token_seconds_count"), 1);
    EXPECT_EQ(observed("millrace_queue_wait_seconds_count"), 0);
    EXPECT_EQ(observed("millrace_overhead_seconds_count"), 0);
}

TEST_F(Settlement, CountsAnSdkRetryApart) {
    RequestRecord done = record();
    settle(registry_.slot(0), done);
    done.sdk_retry = true;
    settle(registry_.slot(0), done);
    EXPECT_EQ(value_of(registry_, "millrace_sdk_retries_total", {{"model", "m"}}), 1);
    EXPECT_EQ(
        value_of(registry_, "millrace_requests_total", {{"model", "m"}, {"outcome", "completed"}}),
        2);
}

TEST(AttemptList, KeepsTheNewestWhenItIsFullAndCountsThemAll) {
    AttemptList attempts;
    EXPECT_EQ(attempts.last(), nullptr);
    for (std::uint16_t i = 1; i <= kMaxAttempts + 2; ++i) {
        attempts.add().status = i;
    }
    EXPECT_EQ(attempts.total(), kMaxAttempts + 2);
    EXPECT_EQ(attempts.kept().size(), kMaxAttempts);
    EXPECT_EQ(attempts.last()->status, kMaxAttempts + 2);
    EXPECT_EQ(attempts.kept().front().status, 1);
}

TEST(InlineText, CutsAtACharacterBoundary) {
    EXPECT_EQ(InlineText<4>("abc").view(), "abc");
    EXPECT_EQ(InlineText<4>("abcdef").view(), "abcd");
    EXPECT_EQ(InlineText<4>("abc\xC3\xA9").view(), "abc");
    EXPECT_EQ(InlineText<5>("abc\xC3\xA9").view(), "abc\xC3\xA9");
    EXPECT_EQ(InlineText<5>("ab\xF0\x9F\x98\x80").view(), "ab");
    EXPECT_EQ(InlineText<4>("\x80\x80\x80\x80\x80\x80").view().size(), 1U) << "not UTF-8 anyway";
    EXPECT_TRUE(InlineText<4>().empty());
}

}  // namespace
}  // namespace millrace::metrics
