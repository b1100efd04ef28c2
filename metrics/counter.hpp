// Counter and DemandCell: the two words that everything on the hot path is made of.
//
// Both are single-writer: an update is a relaxed load, an add and a relaxed store, so no locked
// instruction and no retry loop. DemandCell packs queued, in_flight and pending into one word,
// because a request that moves from queued to in_flight must never be seen twice or not at all:
// every store is a consistent triple. Thread-safety: one writer thread each; any thread may read.
#pragma once

#include <atomic>
#include <cstdint>

namespace millrace::metrics {

class Counter {
public:
    void add(std::uint64_t n = 1) noexcept {
        value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
    }
    std::uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

private:
    std::atomic<std::uint64_t> value_{0};
};

/// Requests of one variant on one thread (SEMANTICS: queued, in_flight, pending; load = queued +
/// in_flight).
struct DemandCounts {
    std::uint64_t queued = 0;
    std::uint64_t in_flight = 0;
    std::uint64_t pending = 0;

    constexpr std::uint64_t load() const { return queued + in_flight; }
    constexpr DemandCounts& operator+=(const DemandCounts& other) {
        queued += other.queued;
        in_flight += other.in_flight;
        pending += other.pending;
        return *this;
    }
    constexpr bool operator==(const DemandCounts&) const = default;
};

class DemandCell {
public:
    /// 21 bits each: two million requests of one variant on one thread, far above what file
    /// descriptors allow.
    static constexpr unsigned kBits = 21;
    static constexpr std::uint64_t kMask = (std::uint64_t{1} << kBits) - 1;

    /// Replaces one contribution by another in a single store. `before` must be what this caller
    /// added earlier.
    void replace(const DemandCounts& before, const DemandCounts& after) noexcept {
        // Unsigned wrap-around makes the difference right even when a field shrinks: the borrows of
        // the subtraction and the carries of the addition cancel out.
        const std::uint64_t delta = pack(after) - pack(before);
        word_.store(word_.load(std::memory_order_relaxed) + delta, std::memory_order_relaxed);
    }

    DemandCounts read() const noexcept {
        const std::uint64_t word = word_.load(std::memory_order_relaxed);
        return {word & kMask, (word >> kBits) & kMask, (word >> (2 * kBits)) & kMask};
    }

private:
    static constexpr std::uint64_t pack(const DemandCounts& counts) {
        return counts.queued | (counts.in_flight << kBits) | (counts.pending << (2 * kBits));
    }

    std::atomic<std::uint64_t> word_{0};
};

}  // namespace millrace::metrics
