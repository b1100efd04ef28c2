#include "gateway/pipeline/course.hpp"

#include <algorithm>
#include <utility>

#include "gateway/pipeline/preference.hpp"

namespace millrace::gateway {
namespace {

using metrics::RetryReason;
using Verdict = routing::RetryPolicy::Verdict;

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

}  // namespace

Course::Course(RequestScope& scope, const Request& request, Resolved& resolved)
    : scope_(scope),
      request_(request),
      resolved_(resolved),
      facts_(repeat_facts(scope, request)),
      policy_(facts_, 1) {
    enter_pool();
}

void Course::follow() {
    if (target_ != resolved_.decision.target) {
        enter_pool();
    }
}

std::optional<routing::RetryBudget::Lease> Course::retry(Answer& answer,
                                                         const routing::AttemptResult& failed) {
    verdict_ = scope_.exchange.abort ? Verdict::give_up : policy_.after(failed);
    answer.retry = {};  // one request is one retry in flight, however often it tries
    if (verdict_ == Verdict::other_endpoint) {
        selection.avoid.add(answer.endpoint.get());
    }
    if (verdict_ == Verdict::give_up) {
        return std::nullopt;
    }
    if (verdict_ == Verdict::fresh_connection) {
        // Happens once per request and makes no work for a backend that had hung up; connections
        // that were kept together are closed together, which would exhaust the budget.
        return routing::RetryBudget::Lease();
    }
    auto lease = rule_->retries->take(answer.pool->counts().in_flight, retry_.budget_percent);
    return lease ? std::optional(std::move(lease)) : std::nullopt;
}

Duration Course::pause() const {
    return verdict_ == Verdict::same_endpoint ? policy_.pause(scope_.services.loop.random())
                                              : Duration(0);
}

RetryReason Course::reason_of(const routing::AttemptResult& failed) const {
    if (failed.status != 0) {
        return RetryReason::error_status;
    }
    if (verdict_ == Verdict::fresh_connection) {
        return RetryReason::stale_connection;
    }
    return routing::was_not_sent(failed.error) ? RetryReason::connect_failed
                                               : RetryReason::before_first_byte;
}

routing::RetryBudget::Lease Course::go_on(Answer& answer) {
    if (scope_.record.attempts.total() >= routing::kMaxAttempts || resolved_.pinned != nullptr ||
        !routing::is_repeatable(facts_)) {
        return {};
    }
    answer.retry = {};
    auto lease = rule_->retries->take(answer.pool->counts().in_flight, retry_.budget_percent);
    if (lease) {
        resolved_.fallbacks = {};
        selection.avoid.add(answer.endpoint.get());
        hedged = true;
    }
    return lease;
}

bool Course::may_hedge() const {
    return rule_->hedging != nullptr && !hedged && resolved_.pinned == nullptr &&
           routing::is_repeatable(facts_);
}

bool Course::leave_pool(Errc error, std::uint16_t status) {
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

void Course::enter_pool() {
    rule_ = resolved_.decision.rule;
    target_ = resolved_.decision.target;
    retry_ = rule_->model != nullptr ? rule_->model->retry : config::Retry{};
    const auto made = static_cast<std::uint32_t>(scope_.record.attempts.total());
    const auto left = routing::kMaxAttempts - std::min(made, routing::kMaxAttempts);
    policy_ = routing::RetryPolicy(facts_, std::min(retry_.attempts, left));
    verdict_ = Verdict::give_up;
    selection = selection_for(scope_, request_, resolved_);
}

}  // namespace millrace::gateway
