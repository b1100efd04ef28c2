#include "routing/retry.hpp"

#include <algorithm>

namespace millrace::routing {
namespace {

/// RFC 9110 9.2.2.
bool is_idempotent(std::string_view method) {
    return method == "GET" || method == "HEAD" || method == "OPTIONS" || method == "PUT" ||
           method == "DELETE";
}

}  // namespace

bool is_repeatable(const RepeatFacts& facts) {
    return !facts.store && !facts.background && !facts.previous_response_id &&
           (facts.api_path || is_idempotent(facts.method));
}

bool was_not_sent(Errc error) {
    return error == Errc::upstream_connect_failed || error == Errc::upstream_connect_timeout;
}

bool is_endpoints_fault(Errc error) {
    switch (error) {
        case Errc::upstream_connect_failed:
        case Errc::upstream_connect_timeout:
        case Errc::upstream_closed:
        case Errc::upstream_bad_response:
        case Errc::upstream_truncated:
        case Errc::first_byte_timeout:
        case Errc::first_token_timeout:
        case Errc::idle_timeout: return true;
        default: return false;
    }
}

bool is_about_the_endpoint(std::uint16_t status) {
    return status == 429 || (status >= 502 && status <= 504);
}

RetryPolicy::RetryPolicy(const RepeatFacts& facts, std::uint32_t max_attempts)
    : repeatable_(is_repeatable(facts)), max_attempts_(max_attempts) {}

RetryPolicy::Verdict RetryPolicy::after(const AttemptResult& attempt) {
    ++failures_;
    if (failures_ >= max_attempts_) {
        return Verdict::give_up;
    }
    if (attempt.status != 0) {
        return repeatable_ && attempt.other_ready && is_about_the_endpoint(attempt.status)
                   ? Verdict::other_endpoint
                   : Verdict::give_up;
    }
    if (!is_endpoints_fault(attempt.error) || (!repeatable_ && !was_not_sent(attempt.error))) {
        return Verdict::give_up;
    }
    if (attempt.error == Errc::upstream_closed && attempt.connection_reused &&
        attempt.response_bytes == 0 && !std::exchange(was_stale_, true)) {
        return Verdict::fresh_connection;  // it was being closed anyway
    }
    if (attempt.other_ready) {
        return Verdict::other_endpoint;
    }
    // The only endpoint is asked again when it was not asked yet: what it did with a request that
    // it got, it would do again.
    return was_not_sent(attempt.error) ? Verdict::same_endpoint : Verdict::give_up;
}

Duration RetryPolicy::pause(Random& random) const {
    constexpr std::uint32_t kFirst = 25;
    constexpr std::uint32_t kMost = 250;
    const auto ceiling = std::min(kMost, kFirst << std::min(failures_ - 1, 4U));
    return std::chrono::milliseconds(random.below(ceiling + 1));
}

RetryBudget::Lease RetryBudget::take(std::uint64_t in_flight, std::uint32_t percent,
                                     std::uint32_t always) {
    const auto allowed = std::max<std::uint64_t>(always, in_flight * percent / 100);
    if (active_.fetch_add(1, std::memory_order_relaxed) >= allowed) {
        active_.fetch_sub(1, std::memory_order_relaxed);
        return {};
    }
    return Lease(this);
}

}  // namespace millrace::routing
