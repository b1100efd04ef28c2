#include "gateway/pipeline/await_answer.hpp"

#include <utility>

#include "gateway/pipeline/preference.hpp"
#include "gateway/pipeline/upstream_request.hpp"

namespace millrace::gateway {
namespace {

/// An error answer is buffered up to this size when it may be about an option that the gateway
/// added.
constexpr std::size_t kBufferedError = std::size_t{64} * 1024;
/// So much before the first content token is taken for content.
constexpr std::size_t kBufferedEvents = std::size_t{64} * 1024;

AttemptOptions options_for(const RequestScope& scope, const Request& request,
                           const Resolved& resolved, const BackendRuntime& backend) {
    AttemptOptions options;
    options.timeouts = backend.settings->timeouts;
    options.is_stream = request.is_stream();
    options.is_head = scope.record.method.view() == "HEAD";
    const auto& rule = *resolved.matched;
    const Instant now = scope.services.loop.recent();
    const auto bound = [&options](Instant from, Duration limit) {
        if (limit > Duration(0) && from + limit < options.total_deadline) {
            options.total_deadline = from + limit;
            options.total_limit = limit;
        }
    };
    bound(scope.exchange.started, rule.request_timeout);
    bound(now, rule.backend_request_timeout);
    bound(now, options.timeouts.total);
    return options;
}

/// Connects and sends, then reads the response head.
Task<Result<void>> exchange_heads(RequestScope& scope, const Request& request,
                                  const Resolved& resolved, Answer& answer) {
    auto& attempt = *answer.attempt;
    if (auto connected = co_await attempt.connect(*answer.endpoint, *answer.backend); !connected) {
        co_return connected;
    }
    answer.asked = usage_for(request, *answer.backend);
    auto& edit = answer.scratch->edit;
    if (edit == nullptr) {
        edit = std::make_unique<openai::BodyEdit>();
    }
    *edit = edit_for(request, resolved.decision, answer.asked);
    if (answer.record->continues) {
        answer.continuation->edit(*edit);
    }
    write_upstream_request(scope, request, resolved.decision, *answer.endpoint, *answer.backend,
                           *edit, *answer.scratch);
    if (auto sent = co_await attempt.send(answer.scratch->request); !sent) {
        co_return sent;
    }
    answer.sent_at = scope.services.loop.now();
    if (auto head = co_await attempt.read_head(); !head) {
        co_return head;
    }
    answer.head_at = scope.services.loop.recent();
    answer.endpoint.shared()->health.answered(attempt.head().keep_alive);
    answer.record->status = static_cast<std::uint16_t>(attempt.head().status);
    co_return Result<void>{};
}

/// The stream is kept so that another backend could go on with it, if its model asks for that.
void keep_for_another(const Request& request, const Resolved& resolved, Answer& answer) {
    const auto* model = resolved.decision.rule->model;
    if (model == nullptr || !model->retry.continue_streams ||
        request.surface->dialect != metrics::Dialect::chat ||
        !openai::Continuation::suits(*request.fields, request.body.size())) {
        return;
    }
    if (!answer.continuation || !answer.continuation->splices()) {
        answer.continuation = std::make_unique<openai::Continuation>();
    }
    answer.filter()->join(*answer.continuation);
}

/// Reads until the first complete event, so that an error in it can still become a status.
Task<Result<void>> look_at_first_event(Answer& answer) {
    auto& scratch = *answer.scratch;
    scratch.out.clear();
    answer.attempt->keep_head(scratch.head);
    while (!answer.complete && scratch.out.empty() && answer.filter()->facts().events == 0) {
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
    if (answer.abort == nullptr) {  // else another attempt may still be without
        scope.demand.first_content();
    }
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

bool is_whole(const Answer& answer) {
    return !answer.attempt->head().need_eof || answer.filter()->facts().saw_terminal;
}

Task<Result<void>> read_events(Answer& answer) {
    auto& scratch = *answer.scratch;
    const auto progress = co_await answer.attempt->read(scratch.body);
    if (!progress) {
        co_return std::unexpected(progress.error());
    }
    answer.filter()->feed(answer.attempt->join(scratch.body), scratch.out);
    if (*progress == BodyProgress::complete) {
        answer.complete = true;
        answer.filter()->finish(!answer.attempt->head().need_eof, scratch.out);
    }
    co_return Result<void>{};
}

Task<Result<void>> await_content(Answer& answer) {
    auto& out = answer.scratch->out;
    while (!answer.complete && answer.filter()->facts().content_events == 0 &&
           answer.held.size() < kBufferedEvents) {
        for (const auto piece : out) {
            answer.held += piece;
        }
        out.clear();
        if (auto read = co_await read_events(answer); !read) {
            co_return read;
        }
    }
    if (!answer.held.empty()) {
        out.insert(out.begin(), answer.held);
    }
    co_return Result<void>{};
}

std::uint16_t error_status(const Answer& answer) {
    if (answer.filter() && answer.filter()->first_event() == openai::FirstEvent::error &&
        answer.filter()->facts().error) {
        return static_cast<std::uint16_t>(metrics::status_of(*answer.filter()->facts().error));
    }
    const int status = answer.attempt->head().status;
    return status >= 400 ? static_cast<std::uint16_t>(status) : 0;
}

void begin(RequestScope& scope, const Request& request, const Resolved& resolved,
           const routing::Selection& selection, routing::Selected selected, Answer& answer) {
    auto& services = scope.services;
    const auto& target = *resolved.decision.target;
    answer.pool = target.pool.get();
    answer.backend = &scope.snapshot().backend_of(target);
    if (selection.policy != nullptr) {
        routing::note_dispatch(*answer.pool, selection, selected.lease);
    }
    answer.endpoint = std::move(selected.lease);
    answer.picked_by_load = selection.policy != nullptr;
    answer.work = selected.work;
    answer.record = &scope.record.attempts.add();
    answer.record->backend = metrics::BackendId{target.backend_metric};
    answer.record->backend_name = target.backend_name;
    answer.record->endpoint = answer.endpoint->url;
    answer.record->chosen_by = routing::to_string(selected.reason).data();
    answer.record->continues = answer.continuation != nullptr && answer.continuation->goes_on();
    answer.prompt_tokens =
        static_cast<std::uint32_t>(estimated_prompt_tokens(request, *answer.backend));
    scope.demand.dispatch();
    answer.begun_at = services.loop.recent();
    auto& abort = answer.abort != nullptr ? *answer.abort : scope.exchange.abort;
    auto options = options_for(scope, request, resolved, *answer.backend);
    options.fresh_connection = answer.fresh_connection;
    answer.attempt.emplace(services.loop, services.upstreams, abort, options);
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
        answer.read_usage(request.surface->dialect);
        co_return co_await look_at_first_bytes(scope, answer);
    }
    answer.read_events(request.surface->dialect, answer.asked.final_usage
                                                     ? openai::client_usage(*request.fields)
                                                     : openai::ShowUsage::everything);
    keep_for_another(request, resolved, answer);
    if (auto looked = co_await look_at_first_event(answer); !looked) {
        co_return std::unexpected(std::move(looked.error()));
    }
    co_return false;
}

}  // namespace millrace::gateway
