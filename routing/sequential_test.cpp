#include "routing/sequential_test.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace millrace::routing {
namespace {

/// Larger differences than harm are multiples of it.
constexpr double kSpread = 3;
/// Differences of logarithms beyond this (a factor of 20) need no hypothesis of their own.
constexpr double kLargestLogarithm = 3;

double squared_deviations(const Moments& values) {
    // Totals are summed from slots that others write meanwhile, so a tick may be inconsistent by an
    // observation.
    return std::max(
        0.0, values.sum_squares - values.sum * values.sum / static_cast<double>(values.count));
}

/// harm, 3 harm, 9 harm … below the limit.
std::vector<double> alternatives(double harm, double limit) {
    std::vector<double> all{harm};
    while (all.back() * kSpread < limit) {
        all.push_back(all.back() * kSpread);
    }
    return all;
}

/// ln of the weighted mean of exp(values): half of the weight is on the first, which must be found
/// with few requests; the others are found anyhow.
double log_mixture(const std::vector<double>& values) {
    if (values.size() == 1) {
        return values.front();
    }
    const double largest = *std::ranges::max_element(values);
    double rest = 0;
    for (std::size_t i = 1; i < values.size(); ++i) {
        rest += std::exp(values[i] - largest);
    }
    rest /= static_cast<double>(values.size() - 1);
    return largest + std::log((std::exp(values.front() - largest) + rest) / 2);
}

struct Counts {
    double size = 0;
    double errors = 0;
    double clean() const { return size - errors; }
};

Counts counts_of(const Arm& arm) {
    return {arm.size, std::clamp(arm.mean, 0.0, 1.0) * arm.size};
}

/// n ln p, with 0 ln 0 = 0.
double weighted_log(double n, double p) {
    return n > 0 ? n * std::log(std::max(p, 1e-300)) : 0;
}

/// Largest log-likelihood of both counts if the canary's rate is the stable one plus `difference`.
double profile(const Counts& stable, const Counts& canary, double difference) {
    double low = 0;
    double high = 1 - difference;
    for (int i = 0; i < 40; ++i) {  // concave in the stable rate: bisect the slope
        const double p = (low + high) / 2;
        const double slope = stable.errors / p - stable.clean() / (1 - p) +
                             canary.errors / (p + difference) -
                             canary.clean() / (1 - p - difference);
        (slope > 0 ? low : high) = p;
    }
    const double p = (low + high) / 2;
    return weighted_log(stable.errors, p) + weighted_log(stable.clean(), 1 - p) +
           weighted_log(canary.errors, p + difference) +
           weighted_log(canary.clean(), 1 - p - difference);
}

}  // namespace

Moments& Moments::operator+=(const Moments& other) {
    count += other.count;
    sum += other.sum;
    sum_squares += other.sum_squares;
    return *this;
}

Moments Moments::since(const Moments& earlier) const {
    return {count - earlier.count, sum - earlier.sum, sum_squares - earlier.sum_squares};
}

void MatchedArms::add(const Moments& stable, const Moments& canary) {
    quiet_stable = stable.count > 0 ? 0 : quiet_stable + 1;
    quiet_canary = canary.count > 0 ? 0 : quiet_canary + 1;
    open_stable += quiet_canary <= kQuiet ? stable : Moments{};
    open_canary += quiet_stable <= kQuiet ? canary : Moments{};
    if (open_stable.count >= kBlock && open_canary.count >= kBlock) {
        close_block();
    }
}

void MatchedArms::close_block() {
    const auto stable_n = static_cast<double>(open_stable.count);
    const auto canary_n = static_cast<double>(open_canary.count);
    canary_count += canary_n;
    canary_sum += open_canary.sum;
    canary_squares += squared_deviations(open_canary);
    canary_freedom += canary_n - 1;
    stable_sum += canary_n * open_stable.sum / stable_n;
    stable_inverse += canary_n * canary_n / stable_n;
    stable_squares += squared_deviations(open_stable);
    stable_freedom += stable_n - 1;
    open_stable = {};
    open_canary = {};
}

Arm MatchedArms::stable() const {
    if (canary_count <= 0) {
        return {};
    }
    // The weighted mean's variance is one observation's times stable_inverse / canary_count^2.
    return {canary_count * canary_count / stable_inverse, stable_sum / canary_count,
            stable_squares / stable_freedom};
}

Arm MatchedArms::canary() const {
    if (canary_count <= 0) {
        return {};
    }
    return {canary_count, canary_sum / canary_count, canary_squares / canary_freedom};
}

bool MatchedArms::plausible() const {
    const auto amount = [](double value) { return std::isfinite(value) && value >= 0; };
    const auto moments = [&](const Moments& m) {
        return std::isfinite(m.sum) && amount(m.sum_squares) && (m.count > 0 || m.sum == 0);
    };
    const bool empty = canary_count == 0;
    return moments(open_stable) && moments(open_canary) && amount(canary_count) &&
           std::isfinite(canary_sum) && std::isfinite(stable_sum) && amount(stable_inverse) &&
           amount(canary_squares) && amount(stable_squares) && amount(canary_freedom) &&
           amount(stable_freedom) && empty == (stable_inverse == 0) &&
           empty == (canary_freedom == 0) && empty == (stable_freedom == 0);
}

Evidence compare_rates(const MatchedArms& arms, Margin margin) {
    const auto stable = counts_of(arms.stable());
    const auto canary = counts_of(arms.canary());
    if (canary.size == 0) {
        return {};
    }
    const double tolerated = profile(stable, canary, margin.tolerated);
    std::vector<double> ratios;
    for (const double difference : alternatives(margin.harm, 1)) {
        ratios.push_back(profile(stable, canary, difference) - tolerated);
    }
    return {log_mixture(ratios), -ratios.front()};
}

Evidence compare_means(const MatchedArms& arms, Margin margin, double min_deviation) {
    const auto stable = arms.stable();
    const auto canary = arms.canary();
    if (canary.size < kBurnIn || stable.size < kBurnIn) {
        return {};
    }
    const double floor = min_deviation * min_deviation;
    const double variance = std::max(stable.variance, floor) / stable.size +
                            std::max(canary.variance, floor) / canary.size;
    const double difference = canary.mean - stable.mean;
    std::vector<double> ratios;
    for (const double other : alternatives(margin.harm, kLargestLogarithm)) {
        ratios.push_back((other - margin.tolerated) *
                         (difference - (other + margin.tolerated) / 2) / variance);
    }
    return {log_mixture(ratios), -ratios.front()};
}

}  // namespace millrace::routing
