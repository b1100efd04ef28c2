#include "routing/retry.hpp"

namespace millrace::routing {
namespace {

bool is_connect_failure(Errc error) {
    return error == Errc::upstream_connect_failed || error == Errc::upstream_connect_timeout;
}

/// RFC 9110 9.2.2.
bool is_idempotent(std::string_view method) {
    return method == "GET" || method == "HEAD" || method == "OPTIONS" || method == "PUT" ||
           method == "DELETE";
}

}  // namespace

RetryPolicy::RetryPolicy(const RepeatFacts& facts)
    : repeatable_(!facts.store && !facts.background && !facts.previous_response_id &&
                  (facts.api_path || is_idempotent(facts.method))) {}

RetryPolicy::Verdict RetryPolicy::after(const AttemptResult& attempt) {
    ++failures_;
    if (spent_ || attempt.body_relayed || attempt.response_bytes > 0) {
        return Verdict::give_up;
    }
    const bool closed_while_idle =
        attempt.error == Errc::upstream_closed && attempt.connection_reused;
    if (is_connect_failure(attempt.error) || (closed_while_idle && repeatable_)) {
        spent_ = true;
        return Verdict::retry;
    }
    return Verdict::give_up;
}

}  // namespace millrace::routing
