// forward: attempts until there is an answer to relay, or none can be had.
//
// Whatever fails before an answer can be relayed (await_answer.hpp) may lead to another attempt in
// the same pool (routing/retry.hpp), then in those of the model's fallbacks (routing/fallback.hpp).
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

}  // namespace millrace::gateway
