// Hedging: when a request that got no content token yet is sent a second time, to another endpoint;
// the first content token wins and the other attempt is cancelled (Dean & Barroso, "The tail at
// scale", 2013).
//
// The second attempt leaves after the 95th percentile of the times to first token, so that about
// one request in twenty is hedged, and never takes a slot that somebody waits for. The budget is
// what holds when everything gets slow at once, because then every request is late. Thread-safety:
// hedge() is a pure function; Hedging is shared by all workers and lock-free.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "config/base/clock.hpp"
#include "config/model.hpp"
#include "routing/retry.hpp"
#include "routing/weak_directory.hpp"

namespace millrace::routing {

/// The 95th percentile of the times to first token, followed one sample at a time: each sample
/// moves the logarithm of the estimate up or down by steps whose balance is the percentile (Robbins
/// & Monro 1951). Of a sample that was cut off above the estimate, that it was above is enough. An
/// update that races with another may be lost, which is one sample of many.
class FirstTokenP95 {
public:
    /// Before that many samples it is not known.
    static constexpr std::uint32_t kMinSamples = 50;

    void observe(Duration first_token) noexcept;
    std::optional<Duration> value() const noexcept;

private:
    std::atomic<double> seconds_{0};
    std::atomic<std::uint32_t> samples_{0};
};

/// What the second attempts of one model share.
struct Hedging {
    RetryBudget budget;     ///< second attempts in flight
    FirstTokenP95 streams;  ///< to the first content token
    FirstTokenP95 answers;  ///< to the head of an answer that is no stream

    FirstTokenP95& latency(bool is_stream) { return is_stream ? streams : answers; }
};

/// By model: what was learned survives reloads.
using HedgingDirectory = WeakDirectory<Hedging>;

/// Second attempts that may run in any case, so that a quiet model can be hedged at all.
inline constexpr std::uint32_t kHedgesAlways = 1;
/// The second attempt never leaves earlier, whatever was learned.
inline constexpr Duration kLeastHedgeDelay = std::chrono::milliseconds(20);

/// When a first attempt is late: as configured, else as learned; empty = not known yet.
std::optional<Duration> hedge_delay(const config::Hedge& policy, const FirstTokenP95& learned);

}  // namespace millrace::routing
