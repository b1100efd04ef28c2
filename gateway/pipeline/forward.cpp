#include "gateway/pipeline/forward.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "gateway/pipeline/admit.hpp"
#include "gateway/pipeline/await_answer.hpp"
#include "gateway/pipeline/count_tokens.hpp"
#include "gateway/pipeline/preference.hpp"
#include "gateway/pipeline/race.hpp"
#include "gateway/runtime/wakeup.hpp"
#include "routing/retry.hpp"

namespace millrace::gateway {
namespace {

using metrics::RetryReason;

static_assert(routing::kMaxAttempts == metrics::kMaxAttempts, "every attempt is settled");

routing::RepeatFacts repeat_facts(const RequestScope& scope, const Request& request) {
    routing::RepeatFacts facts;
    facts.method = scope.record.method.view();
    facts.api_path = request.surface != nullptr;
    if (request.fields) {
        facts.store = request.fields->store.value_or(false);
        facts.background = request.fields->background;
        facts.previous_response_id = request.fields->previous_response_id.has_value();
    }
    return facts;
}

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

RetryReason reason_of(const routing::AttemptResult& failed, routing::RetryPolicy::Verdict verdict) {
    if (failed.status != 0) {
        return RetryReason::error_status;
    }
    if (verdict == routing::RetryPolicy::Verdict::fresh_connection) {
        return RetryReason::stale_connection;
    }
    const bool connecting = failed.error == Errc::upstream_connect_failed ||
                            failed.error == Errc::upstream_connect_timeout;
    return connecting ? RetryReason::connect_failed : RetryReason::before_first_byte;
}

/// The right to another attempt; nullopt when the last one's outcome has to do.
std::optional<routing::RetryBudget::Lease> permit_for(routing::RetryPolicy::Verdict verdict,
                                                      routing::RetryBudget& budget,
                                                      const routing::Pool& pool,
                                                      std::uint32_t percent) {
    using Verdict = routing::RetryPolicy::Verdict;
    if (verdict == Verdict::give_up) {
        return std::nullopt;
    }
    if (verdict == Verdict::fresh_connection) {
        // Happens once per request and makes no work for a backend that had hung up; connections
        // that were kept together are closed together, which would exhaust the budget.
        return routing::RetryBudget::Lease();
    }
    auto lease = budget.take(pool.counts().in_flight, percent);
    return lease ? std::optional(std::move(lease)) : std::nullopt;
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

/// A request among its pools: what it may still try in the one it is in, and where it goes then.
class Course {
public:
    Course(RequestScope& scope, const Request& request, Resolved& resolved)
        : scope_(scope),
          request_(request),
          resolved_(resolved),
          facts_(repeat_facts(scope, request)),
          policy_(facts_, 1) {
        enter_pool();
    }

    /// To be called when an endpoint was leased: the wait for it may have ended in another pool.
    void follow() {
        if (target_ != resolved_.decision.target) {
            enter_pool();
        }
    }

    /// The right to another attempt in the pool; nullopt = it gets none.
    std::optional<routing::RetryBudget::Lease> retry(const Answer& answer,
                                                     const routing::AttemptResult& failed) {
        verdict_ = scope_.exchange.abort ? Verdict::give_up : policy_.after(failed);
        // The set keeps the endpoint alive for as long as it can be picked.
        selection.avoid = verdict_ == Verdict::other_endpoint ? answer.endpoint.get() : nullptr;
        return permit_for(verdict_, *rule_->retries, *answer.pool, retry_.budget_percent);
    }
    bool needs_fresh_connection() const { return verdict_ == Verdict::fresh_connection; }
    /// How long to wait before that attempt.
    Duration pause() const {
        return verdict_ == Verdict::same_endpoint ? policy_.pause(scope_.services.loop.random())
                                                  : Duration(0);
    }
    RetryReason reason_of(const routing::AttemptResult& failed) const {
        return gateway::reason_of(failed, verdict_);
    }

    /// The request may get a second attempt beside its first.
    bool may_hedge() const {
        return rule_->hedging != nullptr && !hedged && resolved_.pinned == nullptr &&
               routing::is_repeatable(facts_);
    }

    /// The pool could not do it. True: the request is in that of a fallback now.
    bool leave_pool(Errc error, std::uint16_t status) {
        auto& services = scope_.services;
        if (resolved_.fallbacks.empty() || scope_.exchange.abort) {
            return false;
        }
        const Duration limit = resolved_.matched->request_timeout;
        const routing::PoolFailure failure{
            error, status, static_cast<std::uint32_t>(scope_.record.attempts.total()),
            limit <= Duration(0) || services.loop.recent() < scope_.exchange.started + limit};
        if (!routing::may_fall_back(facts_, failure)) {
            return false;
        }
        const auto next = resolved_.fallbacks.next(facts_of(scope_, request_), services.endpoints,
                                                   services.loop.random());
        if (!next) {
            return false;
        }
        scope_.fall_back(*next, status != 0 ? metrics::FallbackReason::error_status
                                            : metrics::fallback_reason_of(error));
        resolved_.decision = *next;
        enter_pool();
        return true;
    }

    routing::Selection selection;  ///< what it wants of the pool that it is in
    bool hedged = false;           ///< it had its second attempt

private:
    using Verdict = routing::RetryPolicy::Verdict;

    void enter_pool() {
        rule_ = resolved_.decision.rule;
        target_ = resolved_.decision.target;
        retry_ = rule_->model != nullptr ? rule_->model->retry : config::Retry{};
        const auto made = static_cast<std::uint32_t>(scope_.record.attempts.total());
        const auto left = routing::kMaxAttempts - std::min(made, routing::kMaxAttempts);
        policy_ = routing::RetryPolicy(facts_, std::min(retry_.attempts, left));
        verdict_ = Verdict::give_up;
        selection = selection_for(scope_, request_, resolved_);
    }

    RequestScope& scope_;
    const Request& request_;
    Resolved& resolved_;
    const routing::RepeatFacts facts_;
    routing::RetryPolicy policy_;
    Verdict verdict_ = Verdict::give_up;
    const routing::Rule* rule_ = nullptr;
    const routing::Target* target_ = nullptr;
    config::Retry retry_;
};

}  // namespace

Task<Result<Answer*>> forward(RequestScope& scope, const Request& request, Resolved& resolved,
                              Answer& first, std::unique_ptr<Hedge>& hedge) {
    auto& services = scope.services;
    Course course(scope, request, resolved);
    Answer* answer = &first;
    const Instant ready_at = services.loop.recent();
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
                co_await pause(services.loop, scope.exchange.abort, duration);
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

}  // namespace millrace::gateway
