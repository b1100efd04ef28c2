// What attempts say about their endpoint, and when that is bad enough to do without it.
//
// Evidence is *bad* when the endpoint did not answer as a gateway may expect: no connection, a
// reset or EOF before the end, silence, an unreadable answer, 502, 503, 504. It is *none* for
// everything that the caller may have caused: every 4xx, so that no client can break a circuit for
// the others or hide a broken endpoint behind its own errors. 429 is none as well: the endpoint
// lives and asks for less, and ejecting it would give more to its siblings. So is 500: one
// poisonous prompt makes a sound engine answer it, and Envoy's gateway-failure detector leaves it
// out for that reason. Thread-safety: plain values and pure functions; AttemptWindow belongs to one
// thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "config/base/clock.hpp"
#include "config/base/error.hpp"
#include "routing/health_change.hpp"

namespace millrace::routing {

enum class AttemptEvidence : std::uint8_t { good, none, bad };

/// Of an answer with this status that was read to its end.
AttemptEvidence evidence_of(int status);
/// Of an attempt that ended with an error. A reused connection that closed before the answer was
/// closing while it idled, which says nothing. For an error event inside a stream use the status it
/// carries.
AttemptEvidence evidence_of(Errc error, bool connection_reused);

struct OutlierPolicy {
    std::uint32_t consecutive_failures = 5;  ///< eject at once; 0 = never
    std::uint32_t failure_percent = 50;      ///< of the window's attempts; 0 = never
    std::uint32_t min_attempts = 20;         ///< in the window, for failure_percent
    double latency_factor = 0;  ///< times the siblings' median, > 1 (3 is sane); 0 = never
    std::uint32_t latency_min_samples = 10;  ///< first tokens in the window, of each
    std::uint32_t latency_min_siblings = 3;
    std::uint32_t max_ejected_percent = 50;  ///< of the pool's endpoints, rounded down
};

/// How much of a pool may be ejected or half-open at once. At least one endpoint always stays.
std::size_t allowed_ejections(std::size_t endpoints, std::uint32_t percent);

/// Length of the window that a sweep judges.
inline constexpr Duration kOutlierWindow = std::chrono::seconds(10);

struct WindowStats {
    std::uint64_t good = 0;
    std::uint64_t bad = 0;
    std::uint64_t first_tokens = 0;
    std::uint64_t first_token_ns = 0;  ///< sum of prompt-normalised times to first token

    WindowStats& operator+=(const WindowStats& other);
    WindowStats operator-(const WindowStats& other) const;
    bool operator==(const WindowStats&) const = default;
};

/// The last kOutlierWindow of one endpoint, from running totals that are read once a second.
class AttemptWindow {
public:
    void push(const WindowStats& totals, Instant now);
    WindowStats stats(Instant now) const;
    /// Forgets what happened up to these totals.
    void clear(const WindowStats& totals);

private:
    struct Bucket {
        Instant at;
        WindowStats delta;
    };
    std::array<Bucket, static_cast<std::size_t>(kOutlierWindow / std::chrono::seconds(1))>
        buckets_{};
    std::size_t next_ = 0;
    WindowStats seen_;
};

struct OutlierVerdict {
    std::size_t index = 0;  ///< into the stats that were judged
    HealthCause cause = HealthCause::failure_percentage;
};

/// The outliers of one pool, worst first: failing ones before slow ones.
std::vector<OutlierVerdict> judge(std::span<const WindowStats> endpoints,
                                  const OutlierPolicy& policy);

}  // namespace millrace::routing
