// await_answer: one attempt, from its connection to the point where its answer can be relayed.
//
// That point is the response head with the first bytes of the body; for an event stream its first
// event, because an error in that is still a real status. Thread-safety: none; one worker.
#pragma once

#include <cstdint>

#include "config/base/error.hpp"
#include "gateway/pipeline/answer.hpp"
#include "gateway/pipeline/read_request.hpp"
#include "gateway/pipeline/resolve.hpp"
#include "gateway/pipeline/scope.hpp"
#include "gateway/runtime/task.hpp"
#include "routing/selection.hpp"

namespace millrace::gateway {

/// The body of an event stream has come to its end as far as can be told: where only the end of the
/// connection says so, its end marker must have been seen.
bool is_whole(const Answer& answer);

/// Reads once from an event stream and appends what may be forwarded to `answer.scratch->out`.
Task<Result<void>> read_events(Answer& answer);

/// Begins an attempt at what was selected by `selection`, and its account.
void begin(RequestScope& scope, const Request& request, const Resolved& resolved,
           const routing::Selection& selection, routing::Selected selected, Answer& answer);

/// An error that the backend answered with, before anything of it was relayed; 0 = none.
std::uint16_t error_status(const Answer& answer);

/// Reads on until the first content token of a stream, or its end; the events until then are kept,
/// so that `answer.scratch->out` has all of them.
Task<Result<void>> await_content(Answer& answer);

/// Makes the attempt that was begun in `answer`; true = make it again without the usage option.
Task<Result<bool>> await_answer(RequestScope& scope, const Request& request,
                                const Resolved& resolved, Answer& answer);

}  // namespace millrace::gateway
