// Canaries that watch themselves.
// Part of config/model.hpp, which says how values are written. Thread-safety: plain values.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "config/base/clock.hpp"

namespace millrace::config {

using namespace std::chrono_literals;

/// How much worse a canary's error rate may be, in permille of its requests (10 = one point).
struct ErrorMargin {
    std::uint32_t tolerated_permille = 2;
    std::uint32_t harm_permille = 10;
    bool operator==(const ErrorMargin&) const = default;
};

/// How much longer a canary's time may be, in percent.
struct TimeMargin {
    std::uint32_t tolerated_percent = 5;
    std::uint32_t harm_percent = 20;  ///< 0 = the time is not watched
    bool operator==(const TimeMargin&) const = default;
};

/// A canary whose share grows by steps and who is taken back when it proves worse (decision 0008).
struct Rollout {
    std::string canary;                                   ///< a variant; the other one is stable
    std::vector<std::uint32_t> steps{1, 5, 20, 50, 100};  ///< percent, growing, the last is 100
    std::uint32_t min_requests = 100;                     ///< of the canary, per step
    Duration min_step_time = 5min;
    Duration max_step_time = 24h;              ///< a step without verdict for this long is reported
    std::uint32_t wrong_rollback_percent = 5;  ///< probability, over the whole rollout
    std::uint32_t missed_harm_percent = 5;     ///< probability, per step
    ErrorMargin errors;
    TimeMargin first_token;
    TimeMargin token_gap;
    TimeMargin cost{5, 0};  ///< of a token; needs the backends' `cost_per_hour`
    bool operator==(const Rollout&) const = default;
};

/// What is common to the rollouts of all models.
struct Rollouts {
    std::string state_directory;  ///< one file per model; empty = in memory only
    bool operator==(const Rollouts&) const = default;
};

}  // namespace millrace::config
