// relay: the backend's answer to the client, as the backend says it, while tokens and times are
// counted.
//
// Event streams go by complete events, one write per read; everything else by bytes. An answer that
// breaks off ends in an error event of the path's dialect (streams) or without its last chunk,
// never looking complete, unless another endpoint goes on with it (forward.hpp). Thread-safety:
// none; one worker.
#pragma once

#include "gateway/pipeline/forward.hpp"

namespace millrace::gateway {

/// Relays to the end and records how it ended.
Task<void> relay(RequestScope& scope, const Request& request, Resolved& resolved, Answer& answer,
                 std::unique_ptr<Hedge>& hedge);

}  // namespace millrace::gateway
