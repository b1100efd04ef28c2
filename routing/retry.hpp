// Whether a failed attempt is made again, where, and when: any failure before the first byte of an
// answer was relayed, preferably on another endpoint, within a number of attempts and a budget.
//
// A request that leaves something behind (a stored response, a background job) is sent twice only
// when the first try cannot have arrived. A backend's own answer is never thrown away for want of
// another endpoint: it is relayed. The budget is Envoy's: retries in flight are at most a part of
// the requests in flight, so that retries cannot bring down what is left of a failing backend, and
// requests that need none pay nothing. Thread-safety: RetryPolicy belongs to one request;
// RetryBudget is shared and lock-free.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>
#include <utility>

#include "config/base/clock.hpp"
#include "config/base/error.hpp"
#include "config/base/random.hpp"

namespace millrace::routing {

/// What makes a request unsafe to send twice.
struct RepeatFacts {
    std::string_view method;
    bool api_path = true;               ///< inference POSTs may be repeated; unknown POSTs may not
    bool store = false;                 ///< `store: true`
    bool background = false;            ///< `background: true`
    bool previous_response_id = false;  ///< continues a stored response
};

/// How an attempt ended without an answer worth relaying.
struct AttemptResult {
    Errc error = Errc::internal;
    std::uint16_t status = 0;  ///< the backend answered with this error instead; 0 = no answer
    bool connection_reused = false;
    std::uint64_t response_bytes = 0;  ///< bytes read from the upstream
    bool other_ready = false;          ///< another endpoint of the pool takes new work
};

/// It may be sent twice.
bool is_repeatable(const RepeatFacts& facts);
/// Nothing of the request can have reached the backend.
bool was_not_sent(Errc error);
/// A failure of the endpoint, not of the client, of us, or of the request's own time.
bool is_endpoints_fault(Errc error);
/// An answer about the endpoint's state. A 500 is about the request as often as not, and would be
/// computed twice.
bool is_about_the_endpoint(std::uint16_t status);

class RetryPolicy {
public:
    enum class Verdict : std::uint8_t {
        give_up,
        fresh_connection,  ///< any endpoint, at once, outside the budget; not a kept connection
        other_endpoint,    ///< avoiding the one that failed
        same_endpoint,     ///< it was not reached and there is no other: after pause()
    };

    RetryPolicy(const RepeatFacts& facts, std::uint32_t max_attempts);

    /// Asks about one failed attempt. Anything but give_up means another attempt, if the budget
    /// allows it (see fresh_connection).
    Verdict after(const AttemptResult& attempt);
    /// Full-jitter back-off before the same endpoint is tried again: up to 25 ms, doubled per
    /// failure, at most 250 ms.
    Duration pause(Random& random) const;

    /// Failed attempts so far.
    std::uint32_t failures() const { return failures_; }

private:
    bool repeatable_;
    bool was_stale_ = false;
    std::uint32_t max_attempts_;
    std::uint32_t failures_ = 0;
};

/// Retries in flight of one route.
class RetryBudget {
public:
    /// One retry in flight; move-only, the destructor gives it back.
    class Lease {
    public:
        Lease() = default;
        Lease(Lease&& other) noexcept : budget_(std::exchange(other.budget_, nullptr)) {}
        Lease& operator=(Lease&& other) noexcept {
            std::swap(budget_, other.budget_);
            return *this;
        }
        Lease(const Lease&) = delete;
        Lease& operator=(const Lease&) = delete;
        ~Lease() {
            if (budget_ != nullptr) {
                budget_->active_.fetch_sub(1, std::memory_order_relaxed);
            }
        }
        explicit operator bool() const { return budget_ != nullptr; }

    private:
        friend class RetryBudget;
        explicit Lease(RetryBudget* budget) : budget_(budget) {}
        RetryBudget* budget_ = nullptr;
    };

    /// Retries that are always allowed, so that a quiet route can retry at all.
    static constexpr std::uint32_t kAlways = 3;

    /// Empty when `percent` of `in_flight` requests, or `always`, are retries already.
    Lease take(std::uint64_t in_flight, std::uint32_t percent, std::uint32_t always = kAlways);

private:
    std::atomic<std::uint32_t> active_{0};
};

}  // namespace millrace::routing
