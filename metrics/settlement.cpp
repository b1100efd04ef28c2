#include "metrics/settlement.hpp"

namespace millrace::metrics {

namespace {

/// cached ⊆ prompt and reasoning ⊆ completion; unknown adds nothing.
void add_tokens(CountersBy<TokenKind>& counters, const TokenUsage& tokens) noexcept {
    counters[index_of(TokenKind::prompt)].add(tokens.prompt.value_or(0));
    counters[index_of(TokenKind::cached)].add(tokens.cached.value_or(0));
    counters[index_of(TokenKind::completion)].add(tokens.completion.value_or(0));
    counters[index_of(TokenKind::reasoning)].add(tokens.reasoning.value_or(0));
}

void settle_attempt(BackendCells& backend, const AttemptRecord& attempt) noexcept {
    backend.attempts[index_of(attempt.outcome)].add();
    if (attempt.status >= 100 && attempt.status < 600) {
        backend.responses[attempt.status / 100U - 1].add();
    }
    if (attempt.connection) {
        backend.connections[index_of(*attempt.connection)].add();
    }
    if (attempt.retried) {
        backend.retries[index_of(*attempt.retried)].add();
    }
    if (!attempt.billed) {
        add_tokens(backend.unbilled, attempt.tokens);
    } else if (attempt.continues) {
        TokenUsage unbilled = attempt.tokens;
        unbilled.completion.reset();
        unbilled.reasoning.reset();
        add_tokens(backend.unbilled, unbilled);
    }
}

}  // namespace

void settle(Slot& slot, const RequestRecord& record) noexcept {
    VariantCells& cells = slot.variant(record.variant);
    cells.requests[index_of(record.outcome)].add();
    cells.settlements[exactness_index(record.exactness)].add();
    cells.commits[index_of(record.committed)].add();
    if (record.sdk_retry) {
        cells.sdk_retries.add();
    }
    if (record.error) {
        count_refusal(slot, *record.error);
    }
    if (record.tokens != TokenUsage{}) {
        add_tokens(cells.tokens, record.tokens);
        add_tokens(slot.tenant_tokens(record.tenant, record.variant), record.tokens);
    }
    // A refusal takes microseconds and would hide how long answers take.
    if (record.attempts.total() > 0) {
        cells.duration.observe(record.duration);
    }
    if (record.first_token) {
        cells.first_token.observe(*record.first_token);
    }
    if (record.queue_wait) {
        cells.queue_wait.observe(*record.queue_wait);
    }
    if (record.overhead) {
        cells.overhead.observe(*record.overhead);
    }
    for (const AttemptRecord& attempt : record.attempts.kept()) {
        settle_attempt(slot.backend(attempt.backend), attempt);
    }
}

void count_refusal(Slot& slot, Errc code) noexcept {
    slot.process().refusals[static_cast<std::size_t>(code)].add();
}

}  // namespace millrace::metrics
