// The circuit breaker of one endpoint: how long it stays out and how it comes back.
//
//   closed --eject--> ejected --expire--> half_open --advance...--> closed
//                        ^------- eject ------'
//
// An ejection lasts `base` times the number of ejections in a row, at most `cap`, with jitter so
// that endpoints which failed together are not tried together. The row is forgotten as it was
// made: one ejection for every `base` spent closed (Envoy's outlier detection decrements its
// multiplier in the same way). Half-open begins with one attempt at a time, and every success
// doubles that. Thread-safety: none; EndpointHealth guards it.
#pragma once

#include <cstdint>

#include "config/base/clock.hpp"
#include "config/base/random.hpp"

namespace millrace::routing {

struct BreakerPolicy {
    Duration base = std::chrono::seconds(10);  ///< first ejection; > 0
    Duration cap = std::chrono::seconds(300);  ///< longest ejection before jitter; >= base
    double jitter = 0.1;            ///< an ejection is up to this share shorter or longer
    std::uint32_t trusted_at = 64;  ///< attempts at a time that close the circuit
};

enum class Circuit : std::uint8_t { closed, ejected, half_open };

class Breaker {
public:
    Circuit state() const { return state_; }
    /// When the state was entered. An attempt that started earlier says nothing about it.
    Instant since() const { return since_; }
    /// End of the ejection; meaningless unless ejected.
    Instant until() const { return until_; }
    /// Attempts at a time while half-open.
    std::uint32_t allowance() const { return allowance_; }

    /// From closed or half-open.
    void eject(const BreakerPolicy& policy, Instant now, Random& random);
    /// Ejected and over: half-open from here, and true.
    bool expire(Instant now);
    /// An attempt succeeded while half-open; true when that closed the circuit.
    bool advance(const BreakerPolicy& policy, Instant now);
    /// From any state, without proof.
    void close(Instant now);

private:
    Circuit state_ = Circuit::closed;
    std::uint32_t allowance_ = 1;
    std::int64_t in_a_row_ = 0;
    Instant since_{};
    Instant until_{};
};

}  // namespace millrace::routing
