// admit: the endpoint for the next attempt, at once or after waiting in the pool's line.
//
// The usual request takes a free slot without touching the line. Otherwise it waits: while the
// endpoints are busy for at most `queue.timeout`, while none is ready (asleep, starting, ejected)
// for at most `queue.hold`, both of the backend. A wait also ends when the request is aborted, when
// a request of higher priority needs the place, or when the pool goes away. Thread-safety: none;
// one worker.
#pragma once

#include <cstdint>

#include "config/base/error.hpp"
#include "config/base/header_field.hpp"
#include "gateway/pipeline/read_request.hpp"
#include "gateway/pipeline/resolve.hpp"
#include "gateway/pipeline/scope.hpp"
#include "gateway/runtime/task.hpp"
#include "routing/selection.hpp"

namespace millrace::gateway {

/// The band of a request whose configuration says `priority`: the client may put itself behind
/// others with `x-millrace-priority`, never before them; what is no number there counts for
/// nothing.
std::uint32_t lowered_priority(std::uint32_t priority, HeaderFields fields);

/// Waits in line for an endpoint. A request that overflows gets an endpoint of the fallback that
/// `resolved` then says. Errors: queue_full,
/// queue_timeout, pool_asleep, pool_starting, shed, no_ready_endpoint, or why the request was
/// aborted.
Task<Result<routing::Selected>> wait_for_endpoint(RequestScope& scope, const Request& request,
                                                  Resolved& resolved,
                                                  const routing::Selection& selection);

}  // namespace millrace::gateway
