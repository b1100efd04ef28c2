// forward: attempts until there is an answer to relay, or none can be had.
//
// Whatever fails before an answer can be relayed (await_answer.hpp) may lead to another attempt
// (routing/retry.hpp). Thread-safety: none; one worker.
#pragma once

#include "config/base/error.hpp"
#include "gateway/pipeline/answer.hpp"
#include "gateway/pipeline/read_request.hpp"
#include "gateway/pipeline/resolve.hpp"
#include "gateway/pipeline/scope.hpp"
#include "gateway/runtime/task.hpp"

namespace millrace::gateway {

/// Fills `answer`. On failure nothing was sent to the client.
Task<Result<void>> forward(RequestScope& scope, const Request& request, const Resolved& resolved,
                           Answer& answer);

}  // namespace millrace::gateway
