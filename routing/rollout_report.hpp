// A rollout as the admin port shows it. Thread-safety: pure functions.
#pragma once

#include <string>

#include "routing/rollout.hpp"

namespace millrace::routing {

/// One JSON object: who, phase, share, what is known of each measure, and the sentence that says
/// why. Rates are parts of 1; times are geometric means in seconds, the first token's scaled to a
/// prompt of 1000 tokens; costs are geometric means in dollars per token.
std::string report_json(const Rollout& rollout);

}  // namespace millrace::routing
