// A model's rollout as configured, in the terms of routing/rollout.hpp. Thread-safety: pure
// functions.
#pragma once

#include "config/model.hpp"
#include "routing/rollout.hpp"

namespace millrace::routing {

/// Requires what config's validation promises; then !problem(result).
RolloutPolicy rollout_policy(const config::Rollout& settings);

/// Requires a rollout and its two variants. The revision is the canary's backend and served name.
RolloutNames rollout_names(const config::Model& model);

}  // namespace millrace::routing
