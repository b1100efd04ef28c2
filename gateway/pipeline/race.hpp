// race: an attempt that is late with its first content token gets a second one beside it, at
// another endpoint; the first token wins, and the other connection closes at once (routing/hedge).
//
// Only where the model asks for it, for requests that may be sent twice, when another endpoint has
// a free slot that nobody waits for, and within a budget. Both attempts are accounted for; the
// request is one. Thread-safety: none; one worker.
#pragma once

#include "config/base/error.hpp"
#include "gateway/pipeline/answer.hpp"
#include "gateway/pipeline/read_request.hpp"
#include "gateway/pipeline/resolve.hpp"
#include "gateway/pipeline/scope.hpp"
#include "gateway/runtime/task.hpp"
#include "routing/selection.hpp"

namespace millrace::gateway {

struct Raced {
    Answer* answer = nullptr;  ///< `first`, or the second one
    Result<bool> outcome;      ///< of it, as await_answer() says
    bool hedged = false;       ///< there was a second one
};

/// Makes the attempt that was begun in `first`, up to its first content token, and perhaps a second
/// one by the same `selection`, which is as before in the end. The one that is not given back is
/// over and accounted for.
Task<Raced> race(RequestScope& scope, const Request& request, const Resolved& resolved,
                 routing::Selection& selection, Answer& first, Hedge& hedge);

}  // namespace millrace::gateway
