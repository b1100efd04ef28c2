// Choosing an endpoint by a route's Policy, over the values of all candidates (candidate.hpp).
// Thread-safety: a pure function; `Random` belongs to the caller's thread.
#pragma once

#include <optional>
#include <span>

#include "config/base/random.hpp"
#include "routing/candidate.hpp"

namespace millrace::routing {

/// The stages of `policy` in order, then least pending; equals are decided at random. Never one
/// without room; nullopt when none has any, and the caller queues. Stages with affinity stay within
/// the policy's guard. Nothing is allocated.
std::optional<Choice> choose(std::span<const Candidate> candidates, const PickRequest& request,
                             const Policy& policy, Random& random);

}  // namespace millrace::routing
