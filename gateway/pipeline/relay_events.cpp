#include "gateway/pipeline/relay_events.hpp"

#include <utility>

#include "gateway/pipeline/await_answer.hpp"
#include "gateway/pipeline/count_tokens.hpp"
#include "gateway/pipeline/preference.hpp"

namespace millrace::gateway {

void ContentClock::on_read(Answer& answer) {
    const auto& facts = answer.filter()->facts();
    if (facts.content_events == of_this_) {
        return;
    }
    const Instant now = scope_.services.loop.recent();
    if (of_this_ == 0) {
        scope_.demand.first_content();
        note_first_token(scope_, answer);
        answer.attempt->content_seen();
    }
    if (seen_ == 0) {
        first_ = now;
        scope_.record.first_token = now - scope_.exchange.started;
    } else {
        scope_.services.metrics.variant(scope_.record.variant).inter_token.observe(now - last_);
    }
    seen_ += facts.content_events - of_this_;
    of_this_ = facts.content_events;
    last_ = now;
}

void RequestMemory::on_written(Answer& answer) {
    if (released_) {
        return;
    }
    auto* continuation = answer.continuation.get();
    if (continuation != nullptr && continuation->said().is_all &&
        scope_.budget.grow_to(body_ + continuation->said().content.capacity())) {
        return;
    }
    if (continuation != nullptr) {
        continuation->give_up();
    }
    released_ = true;
    scope_.exchange.body.release();
    scope_.budget.release();
    answer.scratch->release_request();
    answer.attempt->forget_head();
}

Task<Result<void>> EventRelay::run(Answer& answer) {
    auto& out = answer.scratch->out;
    auto& filter = *answer.filter();
    clock_.next_attempt();
    for (;;) {
        clock_.on_read(answer);
        responses_.on_id(filter.facts().response_id, answer);
        const bool is_done = answer.complete && is_whole(answer) && !filter.interrupted();
        if (!out.empty() || is_done) {
            if (!co_await scope_.exchange.sink.write(out, is_done)) {
                co_return std::unexpected(to_error(scope_.exchange.abort.reason()));
            }
            if (std::exchange(first_, false)) {
                note_overhead(scope_, answer);
            }
            memory_.on_written(answer);
        }
        if (is_done) {
            co_return Result<void>{};
        }
        if (filter.interrupted()) {
            co_return failure(Errc::upstream_error_event, Origin::upstream,
                              filter.facts().error->message);
        }
        if (answer.complete) {
            co_return failure(Errc::upstream_truncated, Origin::upstream,
                              "The backend's stream ended without its end marker.");
        }
        out.clear();
        if (auto read = co_await read_events(answer); !read) {
            co_return std::unexpected(std::move(read.error()));
        }
    }
}

}  // namespace millrace::gateway
