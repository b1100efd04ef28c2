#include "routing/outlier.hpp"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace millrace::routing {
namespace {

using std::chrono::seconds;
using Indices = std::vector<std::size_t>;

constexpr Instant kStart{seconds(1000)};

Indices indices_of(const std::vector<OutlierVerdict>& verdicts) {
    Indices indices;
    for (const auto& verdict : verdicts) {
        indices.push_back(verdict.index);
    }
    return indices;
}

WindowStats first_tokens(std::uint64_t count, Duration mean) {
    return {.first_tokens = count,
            .first_token_ns = count * static_cast<std::uint64_t>(mean.count())};
}

TEST(AttemptEvidence, BlamesTheEndpointOnlyForWhatTheCallerCannotCause) {
    for (const int bad : {502, 503, 504}) {
        EXPECT_EQ(evidence_of(bad), AttemptEvidence::bad) << bad;
    }
    for (const int none : {400, 401, 404, 413, 422, 429, 499, 500, 501, 505}) {
        EXPECT_EQ(evidence_of(none), AttemptEvidence::none) << none;
    }
    for (const int good : {200, 204, 302}) {
        EXPECT_EQ(evidence_of(good), AttemptEvidence::good) << good;
    }
}

TEST(AttemptEvidence, KnowsTheErrorsThatAreTheEndpoints) {
    const std::set<Errc> bad{Errc::upstream_connect_failed, Errc::upstream_connect_timeout,
                             Errc::upstream_closed,         Errc::upstream_bad_response,
                             Errc::upstream_truncated,      Errc::first_byte_timeout,
                             Errc::first_token_timeout,     Errc::idle_timeout};
    for (int code = 0; code < static_cast<int>(Errc::kErrcCount); ++code) {
        const auto error = static_cast<Errc>(code);
        EXPECT_EQ(evidence_of(error, /*connection_reused=*/false),
                  bad.contains(error) ? AttemptEvidence::bad : AttemptEvidence::none)
            << to_string(error);
    }
    EXPECT_EQ(evidence_of(Errc::upstream_closed, /*connection_reused=*/true),
              AttemptEvidence::none);
    EXPECT_EQ(evidence_of(Errc::upstream_truncated, /*connection_reused=*/true),
              AttemptEvidence::bad);
}

TEST(AllowedEjections, LeaveAtLeastOneAndRoundDown) {
    EXPECT_EQ(allowed_ejections(0, 50), 0U);
    EXPECT_EQ(allowed_ejections(1, 50), 0U);
    EXPECT_EQ(allowed_ejections(2, 50), 1U);
    EXPECT_EQ(allowed_ejections(3, 50), 1U);
    EXPECT_EQ(allowed_ejections(9, 50), 4U);
    EXPECT_EQ(allowed_ejections(1, 100), 0U);
    EXPECT_EQ(allowed_ejections(4, 100), 3U);
    EXPECT_EQ(allowed_ejections(4, 0), 0U);
    EXPECT_EQ(allowed_ejections(9, 10), 0U);
}

TEST(AttemptWindow, SumsTheLastTenSeconds) {
    AttemptWindow window;
    WindowStats totals;
    for (std::uint64_t second = 1; second <= 30; ++second) {
        totals += {.good = second, .bad = 1};
        window.push(totals, kStart + seconds(second));
    }
    const WindowStats last_ten{.good = 255, .bad = 10};  // 21 + ... + 30
    EXPECT_EQ(window.stats(kStart + seconds(30)), last_ten);
    const WindowStats last_five{.good = 140, .bad = 5};  // 26 + ... + 30
    EXPECT_EQ(window.stats(kStart + seconds(35)), last_five);
    EXPECT_EQ(window.stats(kStart + seconds(40)), WindowStats{});
}

TEST(AttemptWindow, ForgetsWhatItIsToldTo) {
    AttemptWindow window;
    window.push({.good = 5, .bad = 5}, kStart);
    window.clear({.good = 7, .bad = 9});
    EXPECT_EQ(window.stats(kStart), WindowStats{});
    window.push({.good = 8, .bad = 9}, kStart + seconds(1));
    EXPECT_EQ(window.stats(kStart + seconds(1)), WindowStats{.good = 1});
}

TEST(Outlier, FailsByPercentageOfEnoughAttempts) {
    const OutlierPolicy policy;
    const std::vector<WindowStats> stats{
        {.good = 10, .bad = 10},   // half of enough
        {.good = 9, .bad = 10},    // too few
        {.good = 101, .bad = 99},  // less than half
        {.good = 0, .bad = 20},    // the worst
        {},
        {.good = 20, .bad = 80},
    };
    EXPECT_EQ(indices_of(judge(stats, policy)), (Indices{3, 5, 0}));
    EXPECT_EQ(judge(stats, policy)[0].cause, HealthCause::failure_percentage);
    EXPECT_TRUE(judge(stats, {.failure_percent = 0}).empty());
    EXPECT_TRUE(judge(std::vector<WindowStats>(3), {.min_attempts = 0}).empty());
}

TEST(Outlier, IsSlowAgainstTheMedianOfItsSiblings) {
    const OutlierPolicy policy{.latency_factor = 3};
    const auto usual = first_tokens(10, std::chrono::milliseconds(100));
    const auto slow = first_tokens(10, std::chrono::milliseconds(301));
    EXPECT_EQ(indices_of(judge(std::vector{usual, slow, usual, usual}, policy)), Indices{1});
    EXPECT_EQ(judge(std::vector{usual, slow, usual, usual}, policy)[0].cause,
              HealthCause::slow_first_token);
    // Exactly three times the median is not more.
    const auto edge = first_tokens(10, std::chrono::milliseconds(300));
    EXPECT_TRUE(judge(std::vector{usual, edge, usual, usual}, policy).empty());
    // Two slow ones of five: the median of the others is still the usual.
    EXPECT_EQ(indices_of(judge(
                  std::vector{slow, usual, usual, usual, first_tokens(10, std::chrono::seconds(1))},
                  policy)),
              (Indices{4, 0}));
    // Off unless asked for.
    EXPECT_TRUE(judge(std::vector{usual, slow, usual, usual}, {}).empty());
}

TEST(Outlier, DoesNotCallAnythingSlowWithoutEnoughToCompare) {
    const OutlierPolicy policy{.latency_factor = 3};
    const auto usual = first_tokens(10, std::chrono::milliseconds(100));
    const auto few = first_tokens(9, std::chrono::milliseconds(100));
    const auto slow = first_tokens(10, seconds(9));
    EXPECT_TRUE(judge(std::vector{usual, usual, slow}, policy).empty());
    EXPECT_TRUE(judge(std::vector{usual, usual, few, slow}, policy).empty());
    EXPECT_TRUE(
        judge(std::vector{usual, usual, usual, first_tokens(9, seconds(9))}, policy).empty());
    EXPECT_TRUE(judge(std::vector{first_tokens(10, seconds(9))},
                      {.latency_factor = 3, .latency_min_siblings = 0})
                    .empty());
}

TEST(Outlier, PutsFailingEndpointsBeforeSlowOnes) {
    auto slow = first_tokens(10, seconds(9));
    const auto usual = first_tokens(10, seconds(1));
    auto failing = usual;
    failing.bad = 30;
    failing.good = 10;
    EXPECT_EQ(indices_of(judge(std::vector{slow, usual, usual, failing}, {.latency_factor = 3})),
              (Indices{3, 0}));
}

}  // namespace
}  // namespace millrace::routing
