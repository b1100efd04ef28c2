#include "routing/rollout_traffic.hpp"

#include <array>
#include <thread>

#include "config/base/assert.hpp"

namespace millrace::routing {
namespace {

constexpr std::uint32_t kPercent = 100;

/// Of the only writer. Release: nobody who sees the sum may still see the even version before it.
template <class T>
void grow(std::atomic<T>& sum, T by) noexcept {
    sum.store(sum.load(std::memory_order_relaxed) + by, std::memory_order_release);
}

}  // namespace

void ArmCell::Sums::add(double value) noexcept {
    grow(count, std::uint64_t{1});
    grow(sum, value);
    grow(sum_squares, value * value);
}

Moments ArmCell::Sums::read() const noexcept {
    return {count.load(std::memory_order_acquire), sum.load(std::memory_order_acquire),
            sum_squares.load(std::memory_order_acquire)};
}

// A sequence lock (Boehm 2012, "Can seqlocks get along with programming language memory models?"):
// counts and sums of different moments would be evidence of something that never was.
void ArmCell::add(const ArmObservation& seen) noexcept {
    const auto version = version_.load(std::memory_order_relaxed);
    version_.store(version + 1, std::memory_order_relaxed);
    grow(requests_, std::uint64_t{1});
    grow(errors_, std::uint64_t{seen.failed ? 1U : 0U});
    if (seen.first_token) {
        first_token_.add(*seen.first_token);
    }
    if (seen.token_gap) {
        token_gap_.add(*seen.token_gap);
    }
    if (seen.cost) {
        cost_.add(*seen.cost);
    }
    version_.store(version + 2, std::memory_order_release);
}

ArmTotals ArmCell::read() const noexcept {
    for (;;) {
        const auto before = version_.load(std::memory_order_acquire);
        ArmTotals totals;
        totals.requests = requests_.load(std::memory_order_acquire);
        totals.errors = errors_.load(std::memory_order_acquire);
        totals.first_token = first_token_.read();
        totals.token_gap = token_gap_.read();
        totals.cost = cost_.read();
        if (before % 2 == 0 && version_.load(std::memory_order_relaxed) == before) {
            return totals;
        }
        std::this_thread::yield();
    }
}

RolloutTraffic::RolloutTraffic(const RolloutNames& names, std::uint32_t weight, std::size_t workers)
    : workers_(workers), weight_(weight) {
    MILLRACE_ASSERT(weight <= kPercent);
    tables_.reserve(kPercent + 1);
    for (std::uint32_t percent = 0; percent <= kPercent; ++percent) {
        const std::array shares{Share{names.stable, kPercent - percent},
                                Share{names.canary, percent}};
        tables_.emplace_back(shares);
    }
}

void RolloutTraffic::publish(std::uint32_t weight) {
    MILLRACE_ASSERT(weight <= kPercent);
    weight_.store(weight, std::memory_order_relaxed);
}

void RolloutTraffic::observe(std::size_t worker, RolloutArm arm,
                             const ArmObservation& seen) noexcept {
    MILLRACE_ASSERT(worker < workers_.size());
    auto& cells = workers_[worker];
    (arm == RolloutArm::canary ? cells.canary : cells.stable).add(seen);
}

ArmTotals RolloutTraffic::totals(RolloutArm arm) const {
    ArmTotals totals;
    for (const auto& cells : workers_) {
        totals += (arm == RolloutArm::canary ? cells.canary : cells.stable).read();
    }
    return totals;
}

std::shared_ptr<RolloutTraffic> RolloutDirectory::acquire(const RolloutNames& names,
                                                          std::uint32_t first_weight) {
    const auto identity = names.identity();
    const std::lock_guard lock(mutex_);
    if (const auto found = traffic_.find(identity); found != traffic_.end()) {
        if (auto traffic = found->second.lock()) {
            return traffic;
        }
    }
    std::erase_if(traffic_, [](const auto& entry) { return entry.second.expired(); });
    auto traffic = std::make_shared<RolloutTraffic>(names, first_weight, workers_);
    traffic_.insert_or_assign(identity, traffic);
    return traffic;
}

}  // namespace millrace::routing
