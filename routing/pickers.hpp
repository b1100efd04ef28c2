// Choosing an endpoint: the least busy of two drawn at random (Mitzenmacher 2001), which balances
// almost as well as looking at all of them and does not send every worker to the same endpoint.
// Thread-safety: free functions over atomics; `Random` belongs to the caller's thread.
#pragma once

#include "config/base/random.hpp"
#include "routing/endpoints.hpp"

namespace millrace::routing {

/// A lease on an endpoint that is ready and has a free slot; empty when there is none. `avoid` (the
/// endpoint that just failed) is taken only when nothing else is ready. Up to two endpoints are
/// both looked at; equal counts are decided at random.
EndpointLease pick(const EndpointSet& set, Random& random, const EndpointState* avoid = nullptr);

}  // namespace millrace::routing
