#include "gateway/pipeline/count_tokens.hpp"

#include <algorithm>
#include <optional>

#include "gateway/pipeline/preference.hpp"
#include "metrics/tokens/usage.hpp"
#include "routing/endpoint_cost.hpp"

namespace millrace::gateway {

using metrics::AttemptOutcome;

AttemptOutcome attempt_outcome(Errc code) {
    switch (code) {
        case Errc::upstream_connect_failed: return AttemptOutcome::connect_failed;
        case Errc::upstream_connect_timeout: return AttemptOutcome::connect_timeout;
        case Errc::upstream_closed: return AttemptOutcome::closed;
        case Errc::upstream_bad_response: return AttemptOutcome::bad_response;
        case Errc::upstream_truncated: return AttemptOutcome::truncated;
        case Errc::upstream_error_event: return AttemptOutcome::error_event;
        case Errc::first_byte_timeout:
        case Errc::first_token_timeout:
        case Errc::idle_timeout:
        case Errc::total_timeout: return AttemptOutcome::timeout;
        case Errc::client_closed:
        case Errc::client_write_stalled: return AttemptOutcome::client_closed;
        case Errc::drain_deadline: return AttemptOutcome::drained;
        default: return AttemptOutcome::internal;
    }
}

namespace {

/// What the attempt says about its endpoint; nothing where client or request may be the reason.
routing::AttemptEvidence evidence_of(AttemptOutcome outcome, int status, const Attempt& attempt) {
    using routing::AttemptEvidence;
    switch (outcome) {
        case AttemptOutcome::ok:
        case AttemptOutcome::error_status: return routing::evidence_of(status);
        case AttemptOutcome::closed:
            // A kept connection that was being closed anyway says nothing.
            return attempt.reused() && attempt.bytes_read() == 0 ? AttemptEvidence::none
                                                                 : AttemptEvidence::bad;
        case AttemptOutcome::connect_failed:
        case AttemptOutcome::connect_timeout:
        case AttemptOutcome::bad_response:
        case AttemptOutcome::truncated:
        case AttemptOutcome::timeout: return AttemptEvidence::bad;
        default: return AttemptEvidence::none;
    }
}

}  // namespace

void record_attempt(RequestScope& scope, const Answer& answer, AttemptOutcome outcome) {
    auto& record = *answer.record;
    record.outcome = outcome;
    record.upstream_bytes_read = answer.attempt->bytes_read();
    const Instant now = scope.services.loop.recent();
    if (const auto price = answer.backend->settings->cost_per_hour; price.millionths > 0) {
        const auto slots = answer.endpoint->slots.load(std::memory_order_relaxed);
        record.dollars = routing::endpoint_dollars(price, now - answer.begun_at, slots);
    }
    if (answer.attempt->connected()) {
        record.connection = answer.attempt->reused() ? metrics::ConnectionKind::reused
                                                     : metrics::ConnectionKind::fresh;
    }
    answer.pool->report(answer.endpoint, evidence_of(outcome, record.status, *answer.attempt),
                        answer.begun_at, now);
}

void record_success(RequestScope& scope, const Answer& answer) {
    const int status = answer.attempt->head().status;
    auto outcome = AttemptOutcome::ok;
    scope.record.outcome = metrics::Outcome::completed;
    if (answer.filter() && answer.filter()->facts().error) {
        outcome = AttemptOutcome::error_event;
        scope.record.outcome = metrics::Outcome::backend_error;
        scope.record.error = Errc::upstream_error_event;
    } else if (status == 429 || status >= 500) {
        outcome = AttemptOutcome::error_status;
    }
    if (answer.picked_by_load && outcome == AttemptOutcome::ok) {
        answer.endpoint.shared()->load.observe_request(scope.services.loop.recent() -
                                                       answer.begun_at);
    }
    record_attempt(scope, answer, outcome);
}

void note_overhead(RequestScope& scope, const Answer& answer) {
    // Ours: from having the whole request to handing it on, and from having the answer's head to
    // handing that on.
    const Instant now = scope.services.loop.now();
    scope.record.overhead = (answer.sent_at - answer.ready_at) + (now - answer.head_at);
}

namespace {

void learn(const Request& request, const BackendRuntime& backend, std::uint64_t prompt_tokens) {
    // Short prompts are mostly template; they would teach the template's size.
    constexpr std::uint64_t kEnough = 2048;
    if (!request.fields || request.fields->prompt_bytes < kEnough) {
        return;
    }
    auto& ratio = backend.learned->tokens_per_byte;
    const float seen =
        static_cast<float>(prompt_tokens) / static_cast<float>(request.fields->prompt_bytes);
    const float known = ratio.load(std::memory_order_relaxed);
    // Lost updates between workers only slow the learning down.
    ratio.store(known + 0.1F * (std::clamp(seen, 0.02F, 2.0F) - known), std::memory_order_relaxed);
}

/// What is known of the tokens of the attempt; empty for answers that are errors and for surfaces
/// that report no usage.
std::optional<metrics::Settlement> tokens_of(const Request& request, const Answer& answer) {
    const auto status = answer.record->status;
    if (request.surface == nullptr || status < 200 || status >= 300) {
        return std::nullopt;
    }
    const auto choices = static_cast<std::uint32_t>(
        request.fields ? std::clamp<std::uint64_t>(request.fields->n.value_or(1), 1, 1024) : 1);
    const auto estimate = estimated_prompt_tokens(request, *answer.backend);
    metrics::ObservedTokens observed;
    if (answer.filter()) {
        observed = answer.filter()->observed(choices, estimate);
    } else {
        if (answer.usage() && answer.usage()->usage()) {
            observed.final_usage = answer.usage()->usage();
        } else if (!request.surface->is_generation) {
            return std::nullopt;  // this surface need not report usage
        }
        observed.choices_per_prompt = choices;
        observed.prompt_estimate = estimate;
    }
    return metrics::settle(observed);
}

}  // namespace

void count_tokens(RequestScope& scope, const Request& request, const Answer& answer) {
    if (answer.filter()) {
        const auto& facts = answer.filter()->facts();
        scope.services.metrics.process().events_unread.add(facts.oversized_events +
                                                           facts.unread_events);
    }
    const bool continued = answer.continuation && answer.continuation->splices();
    std::optional<metrics::Settlement> settlement;
    if (answer.filter() || !continued) {  // else nobody went on
        settlement = tokens_of(request, answer);
    }
    if (settlement) {
        answer.record->billed = true;
        answer.record->tokens = settlement->tokens;
        if (settlement->exactness == metrics::Exactness::exact && settlement->tokens.prompt &&
            !answer.record->continues) {
            learn(request, *answer.backend, *settlement->tokens.prompt);
        }
    }
    if (continued) {
        settlement = answer.continuation->bill(settlement);
    }
    if (settlement) {
        scope.record.exactness = settlement->exactness;
        scope.record.tokens = settlement->tokens;
    }
}

void count_unbilled(const Request& request, const Answer& answer) {
    if (const auto settlement = tokens_of(request, answer)) {
        answer.record->tokens = settlement->tokens;
    }
}

}  // namespace millrace::gateway
