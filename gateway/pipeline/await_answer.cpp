#include "gateway/pipeline/await_answer.hpp"

#include <utility>

#include "gateway/pipeline/upstream_request.hpp"

namespace millrace::gateway {
namespace {

/// An error answer is buffered up to this size when it may be about an option that the gateway
/// added.
constexpr std::size_t kBufferedError = std::size_t{64} * 1024;

/// Connects and sends, then reads the response head.
Task<Result<void>> exchange_heads(RequestScope& scope, const Request& request,
                                  const Resolved& resolved, Answer& answer) {
    auto& attempt = *answer.attempt;
    if (auto connected = co_await attempt.connect(*answer.endpoint, *answer.backend); !connected) {
        co_return connected;
    }
    answer.asked = usage_for(request, *answer.backend);
    answer.edit = edit_for(request, resolved.decision, answer.asked);
    write_upstream_request(scope, request, resolved.decision, *answer.endpoint, *answer.backend,
                           answer.edit, *answer.scratch);
    if (auto sent = co_await attempt.send(answer.scratch->request); !sent) {
        co_return sent;
    }
    answer.sent_at = scope.services.loop.now();
    if (auto head = co_await attempt.read_head(); !head) {
        co_return head;
    }
    answer.head_at = scope.services.loop.recent();
    answer.endpoint.shared()->health.answered(attempt.head().keep_alive);
    scope.record.attempts.last()->status = static_cast<std::uint16_t>(attempt.head().status);
    co_return Result<void>{};
}

/// Reads until the first complete event, so that an error in it can still become a status.
Task<Result<void>> look_at_first_event(Answer& answer) {
    auto& scratch = *answer.scratch;
    scratch.out.clear();
    answer.attempt->keep_head(scratch.head);
    while (!answer.complete && scratch.out.empty() && answer.filter->facts().events == 0) {
        if (auto read = co_await read_events(answer); !read) {
            co_return read;
        }
    }
    co_return Result<void>{};
}

/// Reads the first bytes of another body, left in `scratch.body`, so that a backend that dies
/// before them can still be replaced by another.
Task<Result<bool>> look_at_first_bytes(RequestScope& scope, Answer& answer) {
    auto& scratch = *answer.scratch;
    scope.demand.first_content();
    answer.endpoint.first_token();
    answer.attempt->content_seen();
    if (!answer.attempt->body_came_with_head()) {
        answer.attempt->keep_head(scratch.head);
    }
    const auto progress = co_await answer.attempt->read(scratch.body);
    if (!progress) {
        co_return std::unexpected(progress.error());
    }
    answer.complete = *progress == BodyProgress::complete;
    co_return false;
}

/// True when the backend's 400 is about the usage option that the gateway added. The body is kept
/// in `held`.
Task<Result<bool>> refuses_usage_option(Answer& answer) {
    auto& scratch = *answer.scratch;
    answer.attempt->keep_head(scratch.head);
    while (!answer.complete && answer.held.size() < kBufferedError) {
        const auto progress = co_await answer.attempt->read(scratch.body);
        if (!progress) {
            co_return std::unexpected(progress.error());
        }
        for (const auto piece : scratch.body) {
            answer.held += piece;
        }
        answer.complete = *progress == BodyProgress::complete;
    }
    co_return answer.held.find("continuous_usage_stats") != std::string::npos;
}

}  // namespace

Task<Result<void>> read_events(Answer& answer) {
    auto& scratch = *answer.scratch;
    const auto progress = co_await answer.attempt->read(scratch.body);
    if (!progress) {
        co_return std::unexpected(progress.error());
    }
    answer.filter->feed(answer.attempt->join(scratch.body), scratch.out);
    if (*progress == BodyProgress::complete) {
        answer.complete = true;
        answer.filter->finish(/*clean=*/true, scratch.out);
    }
    co_return Result<void>{};
}

Task<Result<bool>> await_answer(RequestScope& scope, const Request& request,
                                const Resolved& resolved, Answer& answer) {
    if (auto heads = co_await exchange_heads(scope, request, resolved, answer); !heads) {
        co_return std::unexpected(std::move(heads.error()));
    }
    const auto& head = answer.attempt->head();
    answer.dialect = openai::error_dialect(scope.record.path.view());
    if (head.status == 400 && answer.asked.continuous &&
        answer.backend->settings->usage.continuous == config::ContinuousUsage::automatic) {
        const auto refused = co_await refuses_usage_option(answer);
        co_return refused;
    }
    if (request.surface == nullptr || head.status >= 300) {
        co_return co_await look_at_first_bytes(scope, answer);
    }
    answer.dialect = request.surface->dialect;
    if (!head.is_event_stream) {
        answer.usage.emplace(request.surface->dialect);
        co_return co_await look_at_first_bytes(scope, answer);
    }
    answer.filter.emplace(request.surface->dialect, answer.asked.final_usage
                                                        ? openai::client_usage(*request.fields)
                                                        : openai::ShowUsage::everything);
    if (auto looked = co_await look_at_first_event(answer); !looked) {
        co_return std::unexpected(std::move(looked.error()));
    }
    co_return false;
}

}  // namespace millrace::gateway
