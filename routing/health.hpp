// Health: what attempts say about their endpoint, and for how long it gets no new work.
//
// Passive outlier detection after Envoy's: so many failures in a row eject an endpoint for a while
// that grows with each ejection in a row; then it is on probation, where its slots start at one and
// double with each success, and where one failure ejects it again. What a client did wrong never
// counts. At most a part of a pool is ejected at a time, and never its only endpoint: a bad
// endpoint that answers now and then is better than none. Thread-safety: EndpointHealth's report()
// from any thread, where a success costs one load; transitions under the pool's lock.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "config/base/clock.hpp"
#include "config/base/random.hpp"

namespace millrace::routing {

inline constexpr std::uint32_t kUnlimitedSlots = 0xffff'ffff;

struct HealthPolicy {
    std::uint32_t failures_in_a_row = 5;  ///< 0 = no ejection
    Duration base_ejection = std::chrono::seconds(10);
    Duration max_ejection = std::chrono::seconds(300);
    std::uint32_t max_ejected_percent = 50;  ///< of a pool's endpoints
};

/// What one attempt says about its endpoint.
enum class Verdict : std::uint8_t {
    success,  ///< it answered
    failure,  ///< refused, reset, silent, broken, or 502, 503, 504
    neutral,  ///< nothing: the client left, or the answer is about the request (429, 500)
};

/// True when one more of `total` endpoints may be ejected while `ejected` are.
bool may_eject(std::size_t ejected, std::size_t total, const HealthPolicy& policy);

class EndpointHealth {
public:
    enum class State : std::uint8_t { healthy, ejected, probation };

    State state() const { return state_.load(std::memory_order_relaxed); }
    /// Slots that probation leaves; kUnlimitedSlots when healthy.
    std::uint32_t slot_cap() const { return cap_.load(std::memory_order_relaxed); }

    enum class Reaction : std::uint8_t {
        none,
        eject,      ///< enough: eject(), if the pool may spare it
        widen_cap,  ///< on probation: slot_cap() has grown
    };
    /// `failures_in_a_row`: of the policy.
    Reaction report(Verdict verdict, std::uint32_t failures_in_a_row);

    /// Returns when it ends.
    Instant eject(Instant now, const HealthPolicy& policy, Random& random);
    /// Ejected → probation once its time is over; true when it just did.
    bool readmit(Instant now);

private:
    /// Probation ends when this many slots have proved themselves.
    static constexpr std::uint32_t kProven = 64;

    std::atomic<State> state_{State::healthy};
    std::atomic<std::uint32_t> failures_{0};  // in a row
    std::atomic<std::uint32_t> cap_{kUnlimitedSlots};
    std::uint32_t ejections_ = 0;  // in a row
    Instant until_{};              // of the last ejection
};

}  // namespace millrace::routing
