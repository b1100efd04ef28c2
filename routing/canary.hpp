// Which variant gets a request: exact shares without state beyond one counter, or stickiness
// without any state.
//
// Ticket t of a route goes to position (t mod W) * m mod W on a line of length W = sum of weights,
// cut into one stretch per variant. m is coprime to W, so any W consecutive tickets visit every
// position once: shares are exact over all threads. m is near W divided by the golden ratio, so
// neighbours on the line are far apart in time: shares are smooth too. No table, so weights may be
// a million. Sticky requests use a weighted rendezvous hash (Mosharaf & Schindelhauer): a key moves
// only towards a variant whose weight grew or away from one whose weight shrank. Thread-safety:
// TicketCounter and TicketDirectory from any thread; WeightTable is immutable.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "routing/weak_directory.hpp"

namespace millrace::routing {

inline constexpr std::uint32_t kMaxWeight = 1'000'000;

/// One per route, shared by all workers; on its own cache line.
class TicketCounter {
public:
    std::uint64_t next() { return next_.fetch_add(1, std::memory_order_relaxed); }

private:
    alignas(64) std::atomic<std::uint64_t> next_{0};
};

/// Counters by route.
using TicketDirectory = WeakDirectory<TicketCounter>;

/// 64 bits of a key; the same in every process and release, so that replicas agree.
std::uint64_t stable_hash(std::string_view key);

struct Share {
    std::string_view identity;  ///< what sticky keys stick to: the variant's name
    std::uint32_t weight = 1;
};

class WeightTable {
public:
    WeightTable() = default;
    explicit WeightTable(std::span<const Share> shares);

    std::size_t size() const { return identities_.size(); }
    /// No variant may get traffic.
    bool all_zero() const { return total_ == 0; }
    /// Sum of the weights after division by their greatest common divisor: the length of an exact
    /// window.
    std::uint64_t window() const { return total_; }
    /// Reduced weight.
    std::uint64_t weight(std::size_t index) const {
        return ends()[index] - (index == 0 ? 0 : ends()[index - 1]);
    }
    /// The only index with a weight, or size(): such a table needs no ticket.
    std::size_t only() const { return only_; }

    /// Index for a ticket. Requires !all_zero().
    std::size_t pick(std::uint64_t ticket) const;
    /// Index for a key's stable_hash. Requires !all_zero().
    std::size_t pick_sticky(std::uint64_t key) const;
    /// How strongly a key is drawn to an index: the largest wins; 0 for weight 0, else > 0.
    double affinity(std::size_t index, std::uint64_t key) const;

private:
    // A handful of variants is the rule; their sums lie here and spare a cache miss per request.
    static constexpr std::size_t kInline = 4;
    std::span<const std::uint64_t> ends() const {
        return {size() <= kInline ? inline_ends_.data() : ends_.data(), size()};
    }

    std::uint64_t total_ = 0;
    std::uint64_t step_ = 1;
    std::size_t only_ = 0;
    std::array<std::uint64_t, kInline> inline_ends_{};  // running sums
    std::vector<std::uint64_t> ends_;                   // the same when there are more
    std::vector<std::uint64_t> identities_;             // stable_hash of each identity
};

}  // namespace millrace::routing
