// RolloutTraffic: what the data path and a rollout share. One way goes the canary's share, the
// other way what became of the attempts of both arms.
//
// The share is one relaxed load and a table that exists already. Every worker adds to cells of its
// own, which the control thread sums up; no lock, and a reader that meets an addition reads again.
// Thread-safety: weights() and publish() from any thread, observe() from one thread per worker,
// totals() from any.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "routing/canary.hpp"
#include "routing/rollout.hpp"

namespace millrace::routing {

/// Also the index into the targets of a rule that a rollout decides.
enum class RolloutArm : std::uint8_t { stable, canary };

/// One attempt that ended well or by the backend's fault.
struct ArmObservation {
    bool failed = false;
    std::optional<double> first_token;  ///< first_token_value()
    std::optional<double> token_gap;    ///< token_gap_value()
    std::optional<double> cost;         ///< cost_value()
};

/// ArmTotals with one writer.
class ArmCell {
public:
    /// By the thread that owns the cell.
    void add(const ArmObservation& seen) noexcept;
    /// A consistent state, by any thread.
    ArmTotals read() const noexcept;

private:
    struct Sums {
        std::atomic<std::uint64_t> count{0};
        std::atomic<double> sum{0};
        std::atomic<double> sum_squares{0};
        void add(double value) noexcept;
        Moments read() const noexcept;
    };
    std::atomic<std::uint64_t> version_{0};  // odd while an addition is under way
    std::atomic<std::uint64_t> requests_{0};
    std::atomic<std::uint64_t> errors_{0};
    Sums first_token_;
    Sums token_gap_;
    Sums cost_;
};

class RolloutTraffic {
public:
    /// `weight`: the canary's share until the first publish().
    RolloutTraffic(const RolloutNames& names, std::uint32_t weight, std::size_t workers);

    /// The shares in force, by RolloutArm. A request looks once, so that it sees one moment.
    const WeightTable& weights() const { return tables_[weight_.load(std::memory_order_relaxed)]; }
    std::uint32_t weight() const { return weight_.load(std::memory_order_relaxed); }
    /// `weight` <= 100.
    void publish(std::uint32_t weight);

    void observe(std::size_t worker, RolloutArm arm, const ArmObservation& seen) noexcept;
    ArmTotals totals(RolloutArm arm) const;

private:
    struct alignas(64) Cells {
        ArmCell stable;
        ArmCell canary;
    };

    std::vector<WeightTable> tables_;  // by the canary's percent
    std::vector<Cells> workers_;
    std::atomic<std::uint32_t> weight_;
};

/// By identity of the rollout. Weak, like TicketDirectory: survives reloads, and ends with the last
/// who names it.
class RolloutDirectory {
public:
    /// As many threads as observe().
    explicit RolloutDirectory(std::size_t workers = 1) : workers_(workers) {}
    std::shared_ptr<RolloutTraffic> acquire(const RolloutNames& names, std::uint32_t first_weight);

private:
    std::mutex mutex_;
    std::size_t workers_;
    std::map<std::string, std::weak_ptr<RolloutTraffic>, std::less<>> traffic_;
};

}  // namespace millrace::routing
