#include "routing/auto_model.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <iterator>
#include <string>
#include <vector>

#include "config/base/assert.hpp"

namespace millrace::routing {
namespace {

std::string fixed(double value, int digits) {
    std::array<char, 64> buffer{};
    const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(),
                                   std::min(value, 1e12), std::chars_format::fixed, digits)
                         .ptr;
    return {buffer.data(), end};
}

/// The largest values among the candidates; 0 where all are 0.
struct Scale {
    double slowest = 0;
    double dearest = 0;

    static double part(double value, double largest) { return largest > 0 ? value / largest : 0; }

    double cost(const AutoCandidate& candidate, const AutoPolicy& policy) const {
        return policy.speed * part(seconds(candidate.reading.first_token), slowest) +
               policy.price * part(candidate.micro_usd, dearest) +
               policy.health * candidate.reading.error_rate;
    }
};

std::vector<std::size_t> considered(std::span<const AutoCandidate> candidates) {
    std::vector<std::size_t> indices;
    const bool any_ready = std::ranges::any_of(
        candidates, [](const auto& candidate) { return candidate.ready_endpoints > 0; });
    for (std::size_t i = 0; i < candidates.size(); ++i) {
        if (candidates[i].ready_endpoints > 0 || !any_ready) {
            indices.push_back(i);
        }
    }
    return indices;
}

void explain(const AutoCandidate& candidate, const AutoPolicy& policy, double cost, Trace& trace) {
    trace.add({"Candidate ", candidate.model, ": first token ",
               fixed(seconds(candidate.reading.first_token) * 1e3, 0), " ms",
               candidate.reading.is_measured ? "" : " (assumed)", " x ", fixed(policy.speed, 1),
               ", price ", fixed(candidate.micro_usd, 2), " micro-USD x ", fixed(policy.price, 1),
               ", errors ", fixed(candidate.reading.error_rate * 100, 1), " % x ",
               fixed(policy.health, 1), " -> cost ", fixed(cost, 3),
               candidate.ready_endpoints > 0 ? "." : ", no ready endpoint."});
}

bool happens(double probability, Random& random) {
    return (static_cast<double>(random() >> 11U) + 0.5) * 0x1.0p-53 < probability;
}

std::size_t any_of(const std::vector<std::size_t>& indices, Random& random) {
    return indices[random.below(static_cast<std::uint32_t>(indices.size()))];
}

}  // namespace

void ModelMeasure::first_token(Duration taken) noexcept {
    const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(taken).count();
    micros_.fetch_add(static_cast<std::uint64_t>(std::max<std::int64_t>(micros, 0)),
                      std::memory_order_relaxed);
    tokens_.fetch_add(1, std::memory_order_relaxed);
}

void ModelMeasure::ended(bool failed) noexcept {
    ended_.fetch_add(1, std::memory_order_relaxed);
    failed_.fetch_add(failed ? 1 : 0, std::memory_order_relaxed);
}

void ModelMeasure::tick(Instant now) {
    // Counts may be taken while a worker is between two increments; the rest comes with the next
    // tick.
    const auto take = [](auto& count) {
        return static_cast<double>(count.exchange(0, std::memory_order_relaxed));
    };
    const double fade = ticked_ ? std::exp(-seconds(now - *ticked_) / seconds(kFade)) : 1;
    ticked_ = now;
    token_weight_ = token_weight_ * fade + take(tokens_);
    token_seconds_ = token_seconds_ * fade + take(micros_) / 1e6;
    end_weight_ = end_weight_ * fade + take(ended_);
    fail_weight_ = std::min(end_weight_, fail_weight_ * fade + take(failed_));

    const double mean = (token_seconds_ + kPriorWeight * seconds(kPriorFirstToken)) /
                        (token_weight_ + kPriorWeight);
    first_token_ns_.store(static_cast<std::int64_t>(std::min(mean, 1e6) * 1e9),
                          std::memory_order_relaxed);
    error_rate_.store(fail_weight_ / (end_weight_ + kPriorWeight), std::memory_order_relaxed);
    is_measured_.store(token_weight_ + fail_weight_ >= kMeasuredWeight, std::memory_order_relaxed);
}

ModelReading ModelMeasure::read() const noexcept {
    return {Duration(first_token_ns_.load(std::memory_order_relaxed)),
            error_rate_.load(std::memory_order_relaxed),
            is_measured_.load(std::memory_order_relaxed)};
}

std::shared_ptr<ModelMeasure> ModelMeasures::acquire(std::string_view model) {
    const std::lock_guard lock(mutex_);
    auto& weak = measures_[std::string(model)];
    auto measure = weak.lock();
    if (measure == nullptr) {
        measure = std::make_shared<ModelMeasure>();
        weak = measure;
    }
    return measure;
}

void ModelMeasures::tick(Instant now) {
    const std::lock_guard lock(mutex_);
    for (auto entry = measures_.begin(); entry != measures_.end();) {
        const auto measure = entry->second.lock();
        if (measure != nullptr) {
            measure->tick(now);
        }
        entry = measure != nullptr ? std::next(entry) : measures_.erase(entry);
    }
}

AutoChoice choose_model(std::span<const AutoCandidate> candidates, const AutoPolicy& policy,
                        Random& random, Trace* trace) {
    MILLRACE_ASSERT(!candidates.empty());
    const auto indices = considered(candidates);
    Scale scale;
    for (const auto i : indices) {
        scale.slowest = std::max(scale.slowest, seconds(candidates[i].reading.first_token));
        scale.dearest = std::max(scale.dearest, candidates[i].micro_usd);
    }
    std::vector<std::size_t> best;
    std::vector<std::size_t> unmeasured;
    double lowest = 0;
    for (const auto i : indices) {
        const double cost = scale.cost(candidates[i], policy);
        if (trace != nullptr) {
            explain(candidates[i], policy, cost, *trace);
        }
        constexpr double kSame = 1e-9;
        if (best.empty() || cost < lowest - kSame) {
            best = {i};
            lowest = cost;
        } else if (cost <= lowest + kSame) {
            best.push_back(i);
        }
        if (!candidates[i].reading.is_measured) {
            unmeasured.push_back(i);
        }
    }
    // Drawn in any case, so that the same seed makes the same choices whatever is measured.
    const bool explores = happens(policy.explore, random) && !unmeasured.empty();
    const auto index = any_of(explores ? unmeasured : best, random);
    if (trace != nullptr) {
        trace->add({"Model ", candidates[index].model, " is taken: ",
                    explores          ? "not measured lately, and some requests explore."
                    : best.size() > 1 ? "drawn from those with the lowest cost."
                                      : "the lowest cost."});
    }
    return {index, explores};
}

}  // namespace millrace::routing
