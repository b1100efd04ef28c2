// await_answer: one attempt, from its connection to the point where its answer can be relayed.
//
// That point is the response head with the first bytes of the body; for an event stream its first
// event, because an error in that is still a real status. Thread-safety: none; one worker.
#pragma once

#include "config/base/error.hpp"
#include "gateway/pipeline/answer.hpp"
#include "gateway/pipeline/read_request.hpp"
#include "gateway/pipeline/resolve.hpp"
#include "gateway/pipeline/scope.hpp"
#include "gateway/runtime/task.hpp"

namespace millrace::gateway {

/// Reads once from an event stream and appends what may be forwarded to `answer.scratch->out`.
Task<Result<void>> read_events(Answer& answer);

/// Makes the attempt that was begun in `answer`; true = make it again without the usage option.
Task<Result<bool>> await_answer(RequestScope& scope, const Request& request,
                                const Resolved& resolved, Answer& answer);

}  // namespace millrace::gateway
