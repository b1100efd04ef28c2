// What an attempt did and what it owes: filled into the request's record, which the scope settles.
// Thread-safety: none; one worker.
#pragma once

#include "gateway/pipeline/forward.hpp"
#include "metrics/labels.hpp"

namespace millrace::gateway {

metrics::AttemptOutcome attempt_outcome(Errc code);

/// Notes how the attempt ended and what its time cost; while `answer.attempt` is alive.
void record_attempt(RequestScope& scope, const Answer& answer, metrics::AttemptOutcome outcome);

/// The answer was relayed to its end, whatever it said.
void record_success(RequestScope& scope, const Answer& answer);

/// The gateway's own time, when the first bytes of the answer have been handed on.
void note_overhead(RequestScope& scope, const Answer& answer);

/// Settles the tokens of the attempt as the billed ones: exact, partial or estimated; none
/// for answers that are errors and for surfaces that report no usage.
void count_tokens(RequestScope& scope, const Request& request, const Answer& answer);

/// Notes the tokens of an attempt whose answer nobody gets.
void count_unbilled(const Request& request, const Answer& answer);

}  // namespace millrace::gateway
