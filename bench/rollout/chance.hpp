// Chance for simulated rollouts: seeded draws, and how far a count of rare events may stray.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>

#include "config/base/random.hpp"

namespace millrace::bench {

/// Strictly between 0 and 1.
inline double uniform(Random& random) {
    return (static_cast<double>(random() >> 11U) + 0.5) * 0x1.0p-53;
}

inline double normal(Random& random) {
    return std::sqrt(-2 * std::log(uniform(random))) *
           std::cos(2 * std::numbers::pi * uniform(random));
}

/// Exact; walks from success to success, so that rare ones are cheap.
inline std::uint64_t binomial(Random& random, std::uint64_t n, double p) {
    std::uint64_t hits = 0;
    for (std::uint64_t at = 0; p > 0;) {
        at += 1 +
              (p < 1 ? static_cast<std::uint64_t>(std::log(uniform(random)) / std::log1p(-p)) : 0);
        if (at > n) {
            break;
        }
        ++hits;
    }
    return hits;
}

/// The smallest k with P(Binomial(n, p) <= k) >= 99 %.
inline int binomial_bound(int n, double p) {
    double term = std::pow(1 - p, n);
    double sum = term;
    int k = 0;
    for (; sum < 0.99; ++k) {
        term *= p / (1 - p) * (n - k) / (k + 1);
        sum += term;
    }
    return k;
}

}  // namespace millrace::bench
