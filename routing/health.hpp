// What is known about the health of each endpoint of a pool, and what the pool does without.
//
// An EndpointHealth lives as long as its endpoint and answers one question with one relaxed load:
// how many attempts may be in flight there. A PoolHealth decides that number from active checks and
// from how attempts ended (routing/outlier, routing/breaker):
//
//   failed its active checks        0; never limited, because a probe is a direct answer
//   ejected                         0
//   half-open                       what is still in flight from before, plus a growing allowance
//   otherwise, and in a panic       kNoCap: only the slots bound it
//
// Ejected and half-open endpoints together never exceed the allowed share of the pool
// (allowed_ejections), whatever happens: too many suspects means that the suspicion is wrong, or
// that a bad endpoint is better than none. Panic goes further: when fewer than `panic_percent` of
// the pool are at full service, nothing is withheld on suspicion. A check that passes does not end
// an ejection: a server whose requests fail may well say that it is healthy. A server that used to
// keep connections, answers `Connection: close` and then fails a check is shutting down: one failed
// check is enough.
//
// Thread-safety: all of EndpointHealth's and PoolHealth's public functions from any thread. A
// success costs one relaxed increment and one relaxed load; what a failure or a change of state
// touches is guarded by the pool's mutex. An EndpointHealth belongs to one pool.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

#include "config/base/clock.hpp"
#include "config/base/random.hpp"
#include "routing/breaker.hpp"
#include "routing/health_change.hpp"
#include "routing/outlier.hpp"

namespace millrace::routing {

struct CheckPolicy {
    bool enabled = true;  ///< off: every endpoint passes
    std::uint32_t unhealthy_after = 3;
    std::uint32_t healthy_after = 1;
};

struct HealthPolicy {
    CheckPolicy checks;
    OutlierPolicy outliers;
    BreakerPolicy breaker;
    std::uint32_t panic_percent = 50;  ///< 0 = never panic
};

/// How one active check ended.
struct CheckResult {
    bool ok = false;
    int status = 0;  ///< 0 = no answer

    /// 2xx is healthy; vLLM says 503 when its engine is dead.
    static CheckResult of_status(int status) { return {status >= 200 && status < 300, status}; }
};

class EndpointHealth {
public:
    static constexpr std::uint32_t kNoCap = std::numeric_limits<std::uint32_t>::max();

    /// An attempt may start while fewer than this are in flight.
    std::uint32_t slot_cap() const noexcept { return cap_.load(std::memory_order_relaxed); }
    bool available() const noexcept { return slot_cap() != 0; }

    /// A response head said whether its connection stays open. One load, unless that changed.
    void answered(bool keeps_connection) noexcept {
        const auto seen = connections_.load(std::memory_order_relaxed);
        if (keeps_connection ? seen != Connections::kept : seen == Connections::kept) {
            connections_.store(keeps_connection ? Connections::kept : Connections::closing,
                               std::memory_order_relaxed);
        }
    }

private:
    friend class PoolHealth;

    /// `closing` = after `kept`: a server that never keeps any announces nothing by closing them.
    enum class Connections : std::uint8_t { never_kept, kept, closing };

    static constexpr std::uint8_t kFailing = 1;   // a success ends a run of failures
    static constexpr std::uint8_t kHalfOpen = 2;  // a success earns trust

    WindowStats totals() const;

    // Read by every pick and every outcome, written on changes only.
    alignas(64) std::atomic<std::uint32_t> cap_{kNoCap};
    std::atomic<std::uint8_t> attention_{0};
    std::atomic<Connections> connections_{Connections::never_kept};

    // Guarded by the pool's mutex.
    std::uint32_t failures_in_a_row_ = 0;
    std::uint32_t checks_in_a_row_ = 0;  // against the present verdict
    bool unhealthy_ = false;
    std::uint32_t left_over_ = 0;  // in flight from before half-open, at most
    Breaker breaker_;
    AttemptWindow window_;

    // Written by every worker for every attempt.
    alignas(64) std::atomic<std::uint64_t> good_{0};
    std::atomic<std::uint64_t> bad_{0};
    std::atomic<std::uint64_t> first_tokens_{0};
    std::atomic<std::uint64_t> first_token_ns_{0};
};

/// One endpoint of the pool. `health` keeps what the other two refer to alive (it may share
/// ownership of the endpoint's whole state).
struct HealthMember {
    std::shared_ptr<EndpointHealth> health;
    const std::atomic<std::uint32_t>* in_flight = nullptr;
    std::string_view url;
};

class PoolHealth {
public:
    struct Counts {
        std::size_t members = 0;
        std::size_t unhealthy = 0;
        std::size_t ejected = 0;    ///< unhealthy ones included
        std::size_t half_open = 0;  ///< unhealthy ones included
        bool panic = false;
    };
    using Changes = std::vector<HealthChange>;

    explicit PoolHealth(const HealthPolicy& policy = {}) : policy_(policy) {}

    /// The policy from here on.
    Changes configure(const HealthPolicy& policy, Instant now);
    /// The endpoints that take new work (draining ones count for nothing). What is known of those
    /// that stay, or come back, stays.
    Changes set_members(std::vector<HealthMember> members, Instant now);

    /// An attempt that started at `started` ended.
    std::optional<HealthChange> attempt(EndpointHealth& endpoint, AttemptEvidence evidence,
                                        Instant started, Instant now, Random& random) {
        if (evidence == AttemptEvidence::good) {
            endpoint.good_.fetch_add(1, std::memory_order_relaxed);
            return endpoint.attention_.load(std::memory_order_relaxed) == 0
                       ? std::nullopt
                       : succeeded(endpoint, started, now);
        }
        return evidence == AttemptEvidence::bad ? failed(endpoint, started, now, random)
                                                : std::nullopt;
    }
    /// An attempt's first content token arrived; `normalised` is its prompt-normalised time
    /// (routing/ttft_sketch). Earns trust while half-open, so that long answers do not delay it.
    std::optional<HealthChange> first_token(EndpointHealth& endpoint, Duration normalised,
                                            Instant started, Instant now) {
        endpoint.first_tokens_.fetch_add(1, std::memory_order_relaxed);
        endpoint.first_token_ns_.fetch_add(
            normalised.count() < 0 ? 0 : static_cast<std::uint64_t>(normalised.count()),
            std::memory_order_relaxed);
        return (endpoint.attention_.load(std::memory_order_relaxed) & EndpointHealth::kHalfOpen) ==
                       0
                   ? std::nullopt
                   : earn_trust(endpoint, started, now);
    }
    /// The result of an active check.
    std::optional<HealthChange> checked(EndpointHealth& endpoint, CheckResult result, Instant now);

    /// Ends ejections and judges the last window. Once a second, from one thread.
    Changes sweep(Instant now, Random& random);

    Counts counts() const;

private:
    std::optional<HealthChange> succeeded(EndpointHealth& endpoint, Instant started, Instant now);
    std::optional<HealthChange> earn_trust(EndpointHealth& endpoint, Instant started, Instant now);
    std::optional<HealthChange> failed(EndpointHealth& endpoint, Instant started, Instant now,
                                       Random& random);

    // The mutex is held for the rest.
    const HealthMember* find(const EndpointHealth& endpoint) const;
    std::optional<HealthChange> trusted(EndpointHealth& endpoint, Instant started, Instant now);
    std::optional<HealthChange> eject(const HealthMember& member, HealthCause cause, Instant now,
                                      Random& random);
    void half_open(const HealthMember& member);
    void restart(EndpointHealth& endpoint);
    Changes settle(Instant now);
    void release_excess(Instant now, Changes& changes);
    Counts count() const;
    std::uint32_t cap_of(const EndpointHealth& endpoint) const;
    void apply();

    mutable std::mutex mutex_;
    HealthPolicy policy_;
    std::vector<HealthMember> members_;
    bool panic_ = false;
};

}  // namespace millrace::routing
