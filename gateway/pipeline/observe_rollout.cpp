#include "gateway/pipeline/observe_rollout.hpp"

#include <algorithm>

#include "routing/rollout.hpp"

namespace millrace::gateway {
namespace {

using metrics::AttemptOutcome;
using metrics::AttemptRecord;
using metrics::RequestRecord;

/// A mean of fewer gaps tells of the reads that they came in.
constexpr std::uint64_t kEnoughTokens = 8;

bool is_clients_fault(int status) {
    return status >= 400 && status < 500;
}

/// Nothing: it says nothing about the arm.
std::optional<bool> has_failed(const RequestRecord& record, const AttemptRecord& attempt) {
    switch (attempt.outcome) {
        case AttemptOutcome::ok:
            return is_clients_fault(attempt.status) ? std::nullopt : std::optional(false);
        case AttemptOutcome::error_status:
            return is_clients_fault(attempt.status) ? std::nullopt : std::optional(true);
        case AttemptOutcome::error_event:
            // As the first event it became the answer's status.
            return is_clients_fault(record.status) ? std::nullopt : std::optional(true);
        case AttemptOutcome::closed:
            return attempt.retried == metrics::RetryReason::stale_connection ? std::nullopt
                                                                             : std::optional(true);
        case AttemptOutcome::connect_failed:
        case AttemptOutcome::connect_timeout:
        case AttemptOutcome::bad_response:
        case AttemptOutcome::truncated:
        case AttemptOutcome::timeout: return true;
        default: return std::nullopt;
    }
}

std::optional<double> token_gap(const RequestRecord& record) {
    const auto tokens = std::max(record.tokens.completion.value_or(0), record.content_events);
    if (!record.content_time || *record.content_time <= Duration(0) || tokens < kEnoughTokens) {
        return std::nullopt;
    }
    return routing::token_gap_value(*record.content_time / (tokens - 1));
}

/// Of an attempt that ended well. Estimated tokens would compare our guesses.
std::optional<double> cost(const RequestRecord& record, const AttemptRecord& attempt) {
    const auto tokens = attempt.tokens.prompt.value_or(0) + attempt.tokens.completion.value_or(0);
    const bool is_counted =
        attempt.billed && !attempt.continues &&
        record.exactness.value_or(metrics::Exactness::estimated) != metrics::Exactness::estimated;
    if (attempt.dollars <= 0 || tokens == 0 || !is_counted) {
        return std::nullopt;
    }
    return routing::cost_value(attempt.dollars / static_cast<double>(tokens));
}

}  // namespace

std::optional<routing::ArmObservation> observation_of(const RequestRecord& record,
                                                      const AttemptRecord& attempt) {
    const auto failed = has_failed(record, attempt);
    if (!failed) {
        return std::nullopt;
    }
    routing::ArmObservation seen;
    seen.failed = *failed;
    if (!*failed) {
        seen.cost = cost(record, attempt);
    }
    if (*failed || record.attempts.total() > 1) {
        return seen;
    }
    if (record.first_token) {
        seen.first_token = routing::first_token_value(
            *record.first_token - record.queue_wait.value_or(Duration(0)),
            record.tokens.prompt.value_or(0));
    }
    seen.token_gap = token_gap(record);
    return seen;
}

void observe(routing::RolloutTraffic& rollout, routing::RolloutArm arm, std::size_t worker,
             const RequestRecord& record) {
    for (const auto& attempt : record.attempts.kept()) {
        if (const auto seen = observation_of(record, attempt)) {
            rollout.observe(worker, arm, *seen);
        }
    }
}

}  // namespace millrace::gateway
