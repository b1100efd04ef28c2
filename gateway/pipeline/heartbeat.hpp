// heartbeat: what a stream is told while it waits for an endpoint, and how its answer goes on after
// that.
//
// The first comment commits the status 200, so it comes only where the model asks for it and after
// its delay; everything that can be refused was refused before. Attempts may still be repeated
// afterwards, because nothing of a backend's answer was relayed. An answer that is no stream then
// becomes one error event. Thread-safety: none; one worker.
#pragma once

#include <cstddef>
#include <string_view>

#include "gateway/pipeline/forward.hpp"
#include "gateway/pipeline/read_request.hpp"
#include "gateway/pipeline/resolve.hpp"
#include "gateway/pipeline/scope.hpp"
#include "gateway/runtime/task.hpp"

namespace millrace::gateway {

class Heartbeat {
public:
    Heartbeat(RequestScope& scope, const Request& request, const Resolved& resolved);

    /// When the next comment is due; never for requests that get none.
    Instant due() const { return due_; }
    /// Writes one. `state`: queued, asleep or starting. False when the client is gone.
    Task<bool> beat(std::string_view state, std::size_t ahead, Duration wait);

private:
    RequestScope& scope_;
    Duration every_{0};
    Instant due_ = Instant::max();
};

/// Ends a stream that a heartbeat began with the backend's answer, which is no stream: an error
/// event with its status.
Task<void> answer_late(RequestScope& scope, Answer& answer);

}  // namespace millrace::gateway
