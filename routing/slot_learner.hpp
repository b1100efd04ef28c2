// How many requests an endpoint may work on at a time, learned when nobody says it.
//
// One decision per control tick: grow while the evidence is good and the limit was nearly reached
// (growing without need proves nothing), multiply by 0.9 on evidence of overload, else keep.
// Overload is a queue inside the backend, or a first token over 1.5 times its floor, or an
// inter-token gap over the target. The first growth after an overload is 1 and each following one
// is larger by 1, up to the square root of the limit: answers run for long, so a step too far is
// slow to undo, and yet 4 becomes 1024 within two minutes.
//
// Two rules keep the cuts honest. While more is in flight than the limit, the last cut has not
// worked yet and the same queue is not held against it again: answers that take a minute would
// drive the limit to its bound. And when slow first tokens alone halved the limit and are still
// slow, concurrency was not their cause (a colder prefix cache, slower hardware): the floor is
// learned anew. Thread-safety: none; the control thread's.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "config/base/clock.hpp"

namespace millrace::routing {

inline constexpr std::uint32_t kMinSlots = 4;
inline constexpr std::uint32_t kMaxSlots = 1024;
inline constexpr std::uint32_t kFirstSlots = 256;

/// What the first token takes when nothing is in its way: the lower quartile of the last five
/// minutes' values. A quartile, because the least of many noisy values is luck; of five minutes,
/// because an endpoint that got slower for good must not be held to what it was.
class TtftFloor {
public:
    /// At most one value a second; more would shorten the memory.
    void add(Instant now, Duration value);
    /// As if nothing but `value` had ever been seen.
    void restart(Instant now, Duration value);
    std::optional<Duration> value(Instant now) const;

private:
    static constexpr Duration kMemory = std::chrono::minutes(5);

    struct Entry {
        Instant at;
        Duration value;
    };
    std::array<Entry, static_cast<std::size_t>(kMemory / std::chrono::seconds(1))> entries_{};
    std::size_t count_ = 0;  // ever added; the ring keeps the last ones
};

/// What one tick saw of an endpoint. Absent is unknown, and unknown is no evidence.
struct SlotEvidence {
    Instant now{};
    std::uint32_t peak = 0;           ///< most in flight since the last tick
    std::optional<double> waiting{};  ///< in the backend, when known and fresh
    std::optional<Duration> ttft{};   ///< prompt-normalised 90th percentile of the tick
    std::optional<Duration> inter_token_target{};  ///< of the class, if it has one
    std::optional<Duration> inter_token{};         ///< 90th percentile of the tick
};

enum class SlotCause : std::uint8_t {
    no_evidence,
    not_reached,  ///< all is well, and the limit bounds nobody
    grown,
    backend_queues,
    slow_first_token,
    slow_tokens,
    settling,         ///< overload, but the last cut has not worked yet
    floor_relearned,  ///< cutting did not help: this is how fast the endpoint is
};

struct SlotChange {
    std::uint32_t from = 0;
    std::uint32_t to = 0;
    SlotCause cause = SlotCause::no_evidence;
    bool operator==(const SlotChange&) const = default;
};

class SlotLearner {
public:
    std::uint32_t limit() const { return limit_; }
    /// About once a second. `to` is the limit from here on.
    SlotChange tick(const SlotEvidence& evidence);

private:
    std::optional<SlotCause> overload(const SlotEvidence& evidence) const;
    SlotCause decide(const SlotEvidence& evidence);
    SlotCause cut(SlotCause cause, const SlotEvidence& evidence);

    std::uint32_t limit_ = kFirstSlots;
    std::uint32_t step_ = kMaxSlots;  // of the last growth; large until the first overload
    std::uint32_t slow_since_ = 0;    // in flight when first tokens became slow; 0 = they are not
    TtftFloor floor_;
};

}  // namespace millrace::routing
