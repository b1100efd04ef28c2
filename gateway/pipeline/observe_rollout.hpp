// What a finished request says about the arms of a rollout. Thread-safety: observe() on the worker
// of that index; observation_of() is a pure function.
#pragma once

#include <cstddef>
#include <optional>

#include "metrics/settlement.hpp"
#include "routing/rollout_traffic.hpp"

namespace millrace::gateway {

/// What an attempt of the record says, or nothing: when the client left, when we ended it, when
/// the answer is a 4xx (a 429 too: it tells of load) and when a kept connection was closed before
/// it. Times are of the only attempt of a request, when it was a stream that ended well, without
/// the wait in our own line, which tells of capacity and not of the version. Costs are of attempts
/// that ended well, that carry their price, and whose tokens were counted and not estimated; not of
/// one that continues a stream, whose prompt holds what another one made.
std::optional<routing::ArmObservation> observation_of(const metrics::RequestRecord& record,
                                                      const metrics::AttemptRecord& attempt);

/// Adds every attempt of the settled record.
void observe(routing::RolloutTraffic& rollout, routing::RolloutArm arm, std::size_t worker,
             const metrics::RequestRecord& record);

}  // namespace millrace::gateway
