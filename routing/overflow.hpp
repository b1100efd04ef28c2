// Overflow: when a request leaves a busy or sleeping pool for a fallback instead of waiting on.
//
// The wait it is judged by is what has passed plus what is still predicted (routing/wait_estimate),
// so a long line is left at once and a prediction that was too good is corrected by the clock.
// Thread-safety: pure functions.
#pragma once

#include "config/base/clock.hpp"
#include "config/model.hpp"

namespace millrace::routing {

/// Whether a wait of `waited` so far and `predicted` more is too long.
bool overflows(const config::Overflow& policy, Duration waited, Duration predicted);

/// When a request that waits since `began` should be judged again; Instant::max() = never. A slot
/// that gets free elsewhere tells nobody here, so it is looked for twice a second.
Instant next_judgement(const config::Overflow& policy, Instant began, Instant now);

}  // namespace millrace::routing
