#include "gateway/pipeline/forward.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "gateway/pipeline/admit.hpp"
#include "gateway/pipeline/await_answer.hpp"
#include "gateway/pipeline/count_tokens.hpp"
#include "gateway/pipeline/course.hpp"
#include "gateway/pipeline/race.hpp"
#include "gateway/runtime/wakeup.hpp"
#include "routing/retry.hpp"

namespace millrace::gateway {
namespace {

using metrics::RetryReason;

bool another_is_ready(const routing::EndpointSet& set, const routing::EndpointState* failed) {
    return std::ranges::any_of(set.endpoints, [failed](const auto& endpoint) {
        return endpoint.get() != failed && endpoint->ready();
    });
}

/// Why the attempt may have to be made again; empty when its answer is to be relayed in any case.
std::optional<routing::AttemptResult> failure_of(RequestScope& scope, const Answer& answer,
                                                 const Result<bool>& outcome) {
    routing::AttemptResult result;
    if (outcome) {
        result.status = error_status(answer);
        if (result.status == 0) {
            return std::nullopt;
        }
    } else {
        result.error = outcome.error().code;
    }
    result.connection_reused = answer.attempt->reused();
    result.response_bytes = answer.attempt->bytes_read();
    result.other_ready =
        another_is_ready(scope.services.endpoints.of(*answer.pool), answer.endpoint.get());
    return result;
}

/// Leases an endpoint, waiting for one if need be, and begins the account of the attempt.
Task<Result<void>> begin_attempt(RequestScope& scope, const Request& request, Resolved& resolved,
                                 const routing::Selection& selection, bool fresh_connection,
                                 Answer& answer) {
    auto& services = scope.services;
    const auto* const wanted = resolved.decision.target;
    routing::Selected selected;
    if (resolved.pinned != nullptr) {
        selected = {routing::EndpointLease(resolved.pinned), routing::Reason::only_one, 0};
    } else {
        selected = routing::pick_endpoint(resolved.decision, selection, services.endpoints,
                                          services.loop.random());
        if (!selected) {
            auto waited = co_await wait_for_endpoint(scope, request, resolved, selection);
            if (!waited) {
                co_return std::unexpected(std::move(waited.error()));
            }
            selected = std::move(*waited);
        }
    }
    answer.fresh_connection = fresh_connection;
    // Who found the line full has not waited, and would hide how long others wait.
    scope.record.queue_wait = scope.record.queue_wait.value_or(Duration(0));
    // One that overflowed has an endpoint of a pool that the selection is not about.
    const routing::Selection none;
    const bool moved = resolved.decision.target != wanted;
    begin(scope, request, resolved, moved ? none : selection, std::move(selected), answer);
    co_return Result<void>{};
}

/// The attempt is over and another follows.
void end_attempt(RequestScope& scope, Answer& answer, metrics::AttemptOutcome outcome,
                 RetryReason reason) {
    record_attempt(scope, answer, outcome);
    answer.record->retried = reason;
    scope.demand.requeue();
    answer.clear();
}

/// For an attempt that can be ended alone. What was made stays for the rest of the request, because
/// the attempts listen to it.
void prepare(RequestScope& scope, Answer& answer, std::unique_ptr<Hedge>& hedge) {
    if (hedge == nullptr) {
        hedge = std::make_unique<Hedge>(scope.exchange.abort, scope.services.scratch);
        answer.abort = &hedge->fork.branch(0);
    }
    hedge->fork.renew();
}

/// Attempts on the `course`, the first one in `answer`, until there is an answer or none can be
/// had.
Task<Result<Answer*>> attempts(RequestScope& scope, const Request& request, Resolved& resolved,
                               Course course, Answer* answer, std::unique_ptr<Hedge>& hedge) {
    const Instant ready_at = scope.services.loop.recent();
    for (;;) {
        if (course.may_hedge() || hedge != nullptr) {
            prepare(scope, *answer, hedge);
        }
        if (auto begun = co_await begin_attempt(scope, request, resolved, course.selection,
                                                course.needs_fresh_connection(), *answer);
            !begun) {
            if (course.leave_pool(begun.error().code, 0)) {
                continue;
            }
            co_return std::unexpected(std::move(begun.error()));
        }
        course.follow();
        Result<bool> outcome(false);
        if (course.may_hedge() && hedge != nullptr) {
            auto raced = co_await race(scope, request, resolved, course.selection, *answer, *hedge);
            answer = raced.answer;
            outcome = std::move(raced.outcome);
            course.hedged = raced.hedged;
        } else {
            outcome = co_await await_answer(scope, request, resolved, *answer);
        }
        answer->ready_at = ready_at;
        if (outcome && *outcome) {
            answer->backend->learned->refuses_continuous_usage.store(true,
                                                                     std::memory_order_relaxed);
            end_attempt(scope, *answer, metrics::AttemptOutcome::ok, RetryReason::usage_option);
            continue;
        }
        const auto failed = failure_of(scope, *answer, outcome);
        if (!failed) {
            co_return answer;
        }
        const auto ended =
            outcome ? metrics::AttemptOutcome::error_status : attempt_outcome(outcome.error().code);
        if (auto lease = course.retry(*answer, *failed)) {
            answer->retry = std::move(*lease);
            end_attempt(scope, *answer, ended, course.reason_of(*failed));
            if (const auto duration = course.pause(); duration > Duration(0)) {
                co_await pause(scope.services.loop, scope.exchange.abort, duration);
            }
            continue;
        }
        if (course.leave_pool(failed->error, failed->status)) {
            answer->retry = {};  // the budget is that of the pool that was left
            end_attempt(scope, *answer, ended, course.reason_of(*failed));
            continue;
        }
        if (outcome) {
            co_return answer;  // what the backend says is the answer
        }
        record_attempt(scope, *answer, ended);
        co_return std::unexpected(std::move(outcome.error()));
    }
}

/// The attempt that broke off, with the tokens of what the client has got of it.
void settle_part(const Request& request, const Answer& answer) {
    count_unbilled(request, answer);
    answer.record->billed = answer.filter()->facts().content_events > 0;
}

}  // namespace

Task<Result<Answer*>> forward(RequestScope& scope, const Request& request, Resolved& resolved,
                              Answer& first, std::unique_ptr<Hedge>& hedge) {
    return attempts(scope, request, resolved, Course(scope, request, resolved), &first, hedge);
}

Task<bool> go_on(RequestScope& scope, const Request& request, Resolved& resolved, Answer& answer,
                 std::unique_ptr<Hedge>& hedge, const Error& error) {
    auto* continuation = answer.continuation.get();
    if (continuation == nullptr || scope.exchange.abort ||
        !(routing::is_endpoints_fault(error.code) || error.code == Errc::upstream_error_event) ||
        !continuation->may_go_on(answer.filter()->facts())) {
        co_return false;  // and nothing is left of the request where that was known before
    }
    Course course(scope, request, resolved);
    auto lease = course.go_on(answer);
    if (!lease ||
        !continuation->break_off(answer.filter()->facts(), *request.fields, request.body)) {
        co_return false;
    }
    settle_part(request, answer);
    answer.retry = std::move(lease);
    end_attempt(scope, answer, attempt_outcome(error.code), RetryReason::continuation);
    const auto next =
        co_await attempts(scope, request, resolved, std::move(course), &answer, hedge);
    if (next && answer.filter() && error_status(answer) == 0) {
        co_return true;
    }
    if (next) {  // an answer that is no stream cannot be joined to one
        record_attempt(scope, answer, metrics::AttemptOutcome::error_status);
    }
    answer.clear();
    co_return false;
}

}  // namespace millrace::gateway
