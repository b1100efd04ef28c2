// handle: the story of one request. Read handle.cpp first. Thread-safety: none; one worker.
#pragma once

#include "gateway/pipeline/ports.hpp"
#include "gateway/pipeline/services.hpp"
#include "gateway/runtime/task.hpp"

namespace millrace::gateway {

/// Answers one request, whatever it takes. Returns when the answer has left, or nobody is there to
/// read it.
Task<void> handle(Services& services, Exchange& exchange);

}  // namespace millrace::gateway
