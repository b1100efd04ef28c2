// forward: attempts until there is an answer to relay, or none can be had.
//
// Whatever fails before an answer can be relayed (await_answer.hpp) may lead to another attempt in
// the same pool (routing/retry.hpp), then in those of the model's fallbacks (routing/fallback.hpp).
// A chat stream whose backend fails later may go on at another endpoint (openai/continuation.hpp).
// Thread-safety: none; one worker.
#pragma once

#include <memory>

#include "config/base/error.hpp"
#include "gateway/pipeline/answer.hpp"
#include "gateway/pipeline/read_request.hpp"
#include "gateway/pipeline/resolve.hpp"
#include "gateway/pipeline/scope.hpp"
#include "gateway/runtime/task.hpp"

namespace millrace::gateway {

/// The answer, which is `first` or the second one of `hedge`; `resolved` then says who gave it.
/// Both must outlive the relay, `hedge` also `first`. On failure nothing but heartbeats was sent to
/// the client.
Task<Result<Answer*>> forward(RequestScope& scope, const Request& request, Resolved& resolved,
                              Answer& first, std::unique_ptr<Hedge>& hedge);

/// The backend of the stream that is relayed from `answer` failed with `error`. True: another
/// endpoint goes on with it, and `answer` has its first events. False: none does; `answer` has no
/// attempt any more if one was tried.
Task<bool> go_on(RequestScope& scope, const Request& request, Resolved& resolved, Answer& answer,
                 std::unique_ptr<Hedge>& hedge, const Error& error);

}  // namespace millrace::gateway
