// Simulated rollouts under the default policy: log-normal times on a mixture of prompt lengths and
// a stable error rate of 1 %. Minimum times are off: figures are in requests, and those of the
// test alone. Thread-safety: simulate() from one thread.
#pragma once

#include <cstdint>
#include <vector>

#include "routing/rollout.hpp"

namespace millrace::bench {

inline constexpr std::uint64_t kTick = 50;  ///< canary requests between two looks

/// How a canary differs from the stable variant.
struct Canary {
    double more_errors = 0;
    double slower = 1;  ///< factor on the time to first token
};

struct RolloutResults {
    int runs = 0;
    int promoted = 0;
    int rolled_back = 0;
    int past_first_step = 0;
    std::vector<double> canary_requests;  ///< by run
    std::vector<double> all_requests;
};

double quantile(std::vector<double> values, double q);

/// One rollout per seed, until it has ended or twenty thousand ticks have passed.
RolloutResults simulate(const Canary& kind, std::uint64_t first_seed, int runs);

}  // namespace millrace::bench
