#include "routing/retry.hpp"

#include <gtest/gtest.h>

namespace millrace::routing {
namespace {

using Verdict = RetryPolicy::Verdict;

const RepeatFacts kInference{.method = "POST"};
const AttemptResult kRefused{.error = Errc::upstream_connect_failed};
const AttemptResult kClosedReused{.error = Errc::upstream_closed, .connection_reused = true};

struct Case {
    const char* what;
    RepeatFacts request;
    AttemptResult attempt;
    bool retry;
};

TEST(Retry, FollowsTheTable) {
    const Case cases[] = {
        {"connect refused", kInference, kRefused, true},
        {"connect timed out", kInference, {.error = Errc::upstream_connect_timeout}, true},
        {"closed without an answer on a reused connection", kInference, kClosedReused, true},
        {"closed without an answer on a fresh connection",
         kInference,
         {.error = Errc::upstream_closed},
         false},
        {"closed after response bytes",
         kInference,
         {.error = Errc::upstream_closed, .connection_reused = true, .response_bytes = 1},
         false},
        {"a body byte was relayed",
         kInference,
         {.error = Errc::upstream_closed, .connection_reused = true, .body_relayed = true},
         false},
        {"no response head in time",
         kInference,
         {.error = Errc::first_byte_timeout, .connection_reused = true},
         false},
        {"broken response",
         kInference,
         {.error = Errc::upstream_bad_response, .connection_reused = true},
         false},
        {"truncated",
         kInference,
         {.error = Errc::upstream_truncated, .connection_reused = true},
         false},
        {"client went away",
         kInference,
         {.error = Errc::client_closed, .connection_reused = true},
         false},
        {"store, connect", {.method = "POST", .store = true}, kRefused, true},
        {"store, closed", {.method = "POST", .store = true}, kClosedReused, false},
        {"background, connect", {.method = "POST", .background = true}, kRefused, true},
        {"background, closed", {.method = "POST", .background = true}, kClosedReused, false},
        {"continuation, connect", {.method = "POST", .previous_response_id = true}, kRefused, true},
        {"continuation, closed",
         {.method = "POST", .previous_response_id = true},
         kClosedReused,
         false},
        {"opaque GET, closed", {.method = "GET", .api_path = false}, kClosedReused, true},
        {"opaque POST, closed", {.method = "POST", .api_path = false}, kClosedReused, false},
        {"opaque POST, connect", {.method = "POST", .api_path = false}, kRefused, true},
    };
    for (const auto& c : cases) {
        RetryPolicy policy(c.request);
        EXPECT_EQ(policy.after(c.attempt) == Verdict::retry, c.retry) << c.what;
        EXPECT_EQ(policy.failures(), 1U);
    }
}

TEST(Retry, HappensOnce) {
    RetryPolicy policy(kInference);
    EXPECT_EQ(policy.after(kClosedReused), Verdict::retry);
    EXPECT_EQ(policy.after(kRefused), Verdict::give_up);
    EXPECT_EQ(policy.after(kRefused), Verdict::give_up);
    EXPECT_EQ(policy.failures(), 3U);
}

}  // namespace
}  // namespace millrace::routing
