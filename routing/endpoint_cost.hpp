// What a request's time at an endpoint costs. Thread-safety: pure function.
#pragma once

#include <cstdint>

#include "config/base/clock.hpp"
#include "config/sections/price.hpp"

namespace millrace::routing {

/// Dollars for `taken` (dispatch to end) at an endpoint that costs `per_hour` and takes `slots`
/// requests at once (> 0): one slot's share of the machine was the request's, whether or not the
/// others were taken, so that a quiet arm of a rollout is not dear for being quiet.
double endpoint_dollars(config::Dollars per_hour, Duration taken, std::uint32_t slots);

}  // namespace millrace::routing
