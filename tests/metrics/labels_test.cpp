#include "metrics/labels.hpp"

#include <gtest/gtest.h>

#include <set>
#include <span>

namespace millrace::metrics {
namespace {

TEST(Outcome, OfAnErrorSaysWhoEndedTheRequest) {
    const std::pair<Errc, Outcome> cases[] = {
        {Errc::bad_request_line, Outcome::refused},
        {Errc::model_not_found, Outcome::refused},
        {Errc::invalid_credentials, Outcome::refused},
        {Errc::server_overloaded, Outcome::refused},
        {Errc::draining, Outcome::refused},
        {Errc::no_ready_endpoint, Outcome::refused},
        {Errc::body_timeout, Outcome::refused},
        {Errc::upstream_connect_failed, Outcome::backend_error},
        {Errc::upstream_error_event, Outcome::backend_error},
        {Errc::upstream_truncated, Outcome::truncated},
        {Errc::first_token_timeout, Outcome::timeout},
        {Errc::total_timeout, Outcome::timeout},
        {Errc::client_closed, Outcome::client_closed},
        {Errc::client_write_stalled, Outcome::client_closed},
        {Errc::drain_deadline, Outcome::drained},
        {Errc::internal, Outcome::internal}};
    for (const auto& [code, outcome] : cases) {
        EXPECT_EQ(outcome_of(code), outcome) << to_string(code);
    }
}

TEST(Outcome, IsNeverCompletedForAnErrorWhicheverItIs) {
    for (std::size_t i = 0; i <= static_cast<std::size_t>(Errc::kErrcCount); ++i) {
        const auto outcome = outcome_of(static_cast<Errc>(i));
        EXPECT_NE(outcome, Outcome::completed) << i;
        EXPECT_LT(outcome, Outcome::kCount) << i;
    }
}

TEST(FallbackReason, TellsApartWhatFailed) {
    const std::pair<Errc, FallbackReason> cases[] = {
        {Errc::upstream_connect_timeout, FallbackReason::connect_failed},
        {Errc::upstream_closed, FallbackReason::failed},
        {Errc::upstream_truncated, FallbackReason::failed},
        {Errc::first_byte_timeout, FallbackReason::timeout},
        {Errc::queue_full, FallbackReason::queue},
        {Errc::shed, FallbackReason::queue},
        {Errc::pool_asleep, FallbackReason::unready},
        {Errc::no_ready_endpoint, FallbackReason::unready}};
    for (const auto& [code, reason] : cases) {
        EXPECT_EQ(fallback_reason_of(code), reason) << to_string(code);
    }
}

TEST(Labels, AreDistinctWordsThatNeedNoEscape) {
    const std::span<const std::string_view> tables[] = {
        kOutcomeNames,      kAttemptOutcomeNames, kRetryReasonNames,    kTokenKindNames,
        kExactnessNames,    kCommitNames,         kConnectionKindNames, kHandshakeResultNames,
        kReloadResultNames, kStatusClassNames,    kFallbackReasonNames, kHedgeOutcomeNames,
        kMirrorOutcomeNames};
    for (const auto table : tables) {
        std::set<std::string_view> seen;
        for (const auto name : table) {
            EXPECT_FALSE(name.empty());
            EXPECT_EQ(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_0123456789"), name.npos)
                << name;
            EXPECT_TRUE(seen.insert(name).second) << name << " appears twice";
        }
    }
}

TEST(Labels, SayTheEnumeratorsOwnWord) {
    EXPECT_EQ(to_string(Outcome::completed), "completed");
    EXPECT_EQ(to_string(Outcome::internal), "internal");
    EXPECT_EQ(to_string(AttemptOutcome::error_event), "error_event");
    EXPECT_EQ(to_string(AttemptOutcome::internal), "internal");
    EXPECT_EQ(to_string(RetryReason::usage_option), "usage_option");
    EXPECT_EQ(to_string(TokenKind::reasoning), "reasoning");
    EXPECT_EQ(to_string(Commit::heartbeat), "heartbeat");
    EXPECT_EQ(kExactnessNames[exactness_index(std::nullopt)], "none");
    EXPECT_EQ(kExactnessNames[exactness_index(Exactness::partial)], "partial");
}

}  // namespace
}  // namespace millrace::metrics
