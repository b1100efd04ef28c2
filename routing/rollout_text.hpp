// The numbers of a rollout in words. Thread-safety: pure functions.
#pragma once

#include <string>

#include "config/base/clock.hpp"
#include "routing/rollout.hpp"

namespace millrace::routing {

/// "error rate 3.1 % against 1.02 % (n = 640 and 63360)"; "first token 412 ms against 343 ms
/// (+20.1 %, n = 640 and 63360)". The stable n is what its weighted observations are worth.
std::string describe(const Comparison& comparison);
/// "0.2 points", "5 %": a margin as the policy states it.
std::string describe_margin(Measure measure, double margin);
/// "36 h", "12 min", "8 s": whole units.
std::string describe(Duration duration);

}  // namespace millrace::routing
