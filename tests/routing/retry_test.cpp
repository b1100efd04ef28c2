#include "routing/retry.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "tests/routing/repeat_facts.hpp"

namespace millrace::routing {
namespace {

using Verdict = RetryPolicy::Verdict;
using namespace std::chrono_literals;

using testing::inference;
using testing::storing;

AttemptResult failed(Errc error, bool other_ready = true) {
    AttemptResult result;
    result.error = error;
    result.other_ready = other_ready;
    return result;
}

AttemptResult answered(std::uint16_t status, bool other_ready = true) {
    AttemptResult result;
    result.status = status;
    result.other_ready = other_ready;
    return result;
}

AttemptResult stale() {
    auto result = failed(Errc::upstream_closed);
    result.connection_reused = true;
    return result;
}

Verdict first(const RepeatFacts& facts, const AttemptResult& attempt) {
    return RetryPolicy(facts, 3).after(attempt);
}

TEST(Retry, GoesToAnotherEndpointWhateverTheEndpointDid) {
    for (const auto error :
         {Errc::upstream_connect_failed, Errc::upstream_connect_timeout, Errc::upstream_closed,
          Errc::upstream_bad_response, Errc::upstream_truncated, Errc::first_byte_timeout,
          Errc::first_token_timeout, Errc::idle_timeout}) {
        EXPECT_EQ(first(inference(), failed(error)), Verdict::other_endpoint) << to_string(error);
    }
    for (const auto status : std::vector<std::uint16_t>{502, 503, 504, 429}) {
        EXPECT_EQ(first(inference(), answered(status)), Verdict::other_endpoint) << status;
    }
}

TEST(Retry, IsNotForClientsFaultsOursOrTheRequestsOwnTime) {
    for (const auto error : {Errc::client_closed, Errc::client_write_stalled, Errc::drain_deadline,
                             Errc::internal, Errc::total_timeout}) {
        EXPECT_EQ(first(inference(), failed(error)), Verdict::give_up) << to_string(error);
    }
    for (const auto status : std::vector<std::uint16_t>{400, 401, 404, 422, 500, 501}) {
        EXPECT_EQ(first(inference(), answered(status)), Verdict::give_up) << status;
    }
}

TEST(Retry, TriesTheOnlyEndpointAgainOnlyIfItWasNotReached) {
    EXPECT_EQ(first(inference(), failed(Errc::upstream_connect_failed, false)),
              Verdict::same_endpoint);
    EXPECT_EQ(first(inference(), failed(Errc::upstream_closed, false)), Verdict::give_up);
    EXPECT_EQ(first(inference(), failed(Errc::first_byte_timeout, false)), Verdict::give_up);
    EXPECT_EQ(first(inference(), answered(503, false)), Verdict::give_up)
        << "its answer is relayed";
}

TEST(Retry, TakesAFreshConnectionOnceForAStaleOne) {
    RetryPolicy policy(inference(), 3);
    EXPECT_EQ(policy.after(stale()), Verdict::fresh_connection);
    EXPECT_EQ(policy.after(stale()), Verdict::other_endpoint);
    auto with_bytes = stale();
    with_bytes.response_bytes = 1;
    EXPECT_EQ(first(inference(), with_bytes), Verdict::other_endpoint);
}

TEST(Retry, SendsWhatLeavesSomethingBehindTwiceOnlyIfItCannotHaveArrived) {
    auto background = inference();
    background.background = true;
    auto continuation = inference();
    continuation.previous_response_id = true;
    auto opaque = inference();
    opaque.api_path = false;
    for (const auto& facts : {storing(), background, continuation, opaque}) {
        EXPECT_EQ(first(facts, failed(Errc::upstream_connect_failed)), Verdict::other_endpoint);
        EXPECT_EQ(first(facts, stale()), Verdict::give_up);
        EXPECT_EQ(first(facts, failed(Errc::first_byte_timeout)), Verdict::give_up);
        EXPECT_EQ(first(facts, answered(503)), Verdict::give_up);
    }
    opaque.method = "GET";
    EXPECT_EQ(first(opaque, stale()), Verdict::fresh_connection);
}

TEST(Retry, EndsWithTheAttempts) {
    RetryPolicy policy(inference(), 3);
    EXPECT_EQ(policy.after(failed(Errc::upstream_closed)), Verdict::other_endpoint);
    EXPECT_EQ(policy.after(failed(Errc::upstream_closed)), Verdict::other_endpoint);
    EXPECT_EQ(policy.after(failed(Errc::upstream_closed)), Verdict::give_up);
    EXPECT_EQ(policy.failures(), 3U);
    EXPECT_EQ(RetryPolicy(inference(), 1).after(failed(Errc::upstream_closed)), Verdict::give_up);
}

TEST(Retry, PausesWithFullJitterThatGrowsToALimit) {
    Random random(5);
    RetryPolicy policy(inference(), 20);
    Duration most{0};
    for (int failures = 1; failures < 12; ++failures) {
        policy.after(failed(Errc::upstream_connect_failed, false));
        most = Duration(0);
        for (int i = 0; i < 500; ++i) {
            most = std::max(most, policy.pause(random));
        }
        EXPECT_LE(most, failures == 1 ? 25ms : 250ms);
    }
    EXPECT_GT(most, 200ms);
}

TEST(RetryBudget, AllowsAPartOfWhatIsInFlightAndAlwaysAFew) {
    RetryBudget budget;
    std::vector<RetryBudget::Lease> leases;
    for (std::uint32_t i = 0; i < RetryBudget::kAlways; ++i) {
        leases.push_back(budget.take(1, 20));
        EXPECT_TRUE(leases.back());
    }
    EXPECT_FALSE(budget.take(1, 20));
    for (int i = 3; i < 20; ++i) {
        leases.push_back(budget.take(100, 20));
        EXPECT_TRUE(leases.back());
    }
    EXPECT_FALSE(budget.take(100, 20));
    leases.pop_back();
    EXPECT_TRUE(budget.take(100, 20));
    auto moved = std::move(leases.front());
    leases.clear();
    for (int i = 0; i < 2; ++i) {
        leases.push_back(budget.take(0, 20));
        EXPECT_TRUE(leases.back()) << "the moved one still counts, the others do not";
    }
    EXPECT_FALSE(budget.take(0, 20));
}

}  // namespace
}  // namespace millrace::routing
