#include "gateway/pipeline/heartbeat.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "gateway/openai/error_body.hpp"
#include "gateway/pipeline/count_tokens.hpp"

namespace millrace::gateway {
namespace {

/// Of a backend's error answer, for the words in it.
constexpr std::size_t kReadOfError = std::size_t{64} * 1024;

void begin_stream(RequestScope& scope) {
    const std::array<HeaderField, 4> fields{
        HeaderField{"content-type", "text/event-stream; charset=utf-8", 0},
        HeaderField{"x-request-id", scope.request_id(), 0},
        HeaderField{"cache-control", "no-cache", 0}, HeaderField{"x-accel-buffering", "no", 0}};
    AnswerHead head;
    head.fields = fields;
    scope.record.status = 200;
    scope.record.committed = metrics::Commit::heartbeat;
    scope.exchange.sink.begin(head);
}

/// The error that an answer describes, read as if it had come as an event.
std::optional<metrics::StreamError> error_in(std::string body, metrics::Dialect dialect) {
    std::ranges::replace(body, '\n', ' ');
    std::ranges::replace(body, '\r', ' ');
    openai::StreamFilter filter(dialect, openai::ShowUsage::everything);
    std::vector<std::string_view> out;
    filter.feed("data: " + body + "\n\n", out);
    const auto& error = filter.facts().error;
    return error ? std::optional(*error) : std::nullopt;
}

}  // namespace

Heartbeat::Heartbeat(RequestScope& scope, const Request& request, const Resolved& resolved)
    : scope_(scope) {
    const auto* model = resolved.decision.rule->model;
    if (request.is_stream() && model != nullptr && model->heartbeat.after > Duration(0)) {
        every_ = model->heartbeat.every;
        const auto now = scope.services.loop.recent();
        due_ = now + (scope.exchange.sink.committed() ? every_ : model->heartbeat.after);
    }
}

Task<bool> Heartbeat::beat(std::string_view state, std::size_t ahead, Duration wait) {
    if (!scope_.exchange.sink.committed()) {
        begin_stream(scope_);
    }
    const auto whole = std::chrono::ceil<std::chrono::seconds>(wait).count();
    const auto comment = ": millrace state=" + std::string(state) +
                         " ahead=" + std::to_string(ahead) +
                         " wait_seconds=" + std::to_string(whole) + "\n\n";
    due_ = scope_.services.loop.now() + every_;
    std::array<std::string_view, 1> pieces{comment};
    co_return co_await scope_.exchange.sink.write(pieces, /*last=*/false);
}

Task<void> answer_late(RequestScope& scope, Answer& answer) {
    std::string body = std::move(answer.held);
    if (body.empty()) {  // else it has these already
        for (const auto piece : answer.scratch->body) {
            body += piece;
        }
    }
    const auto status = static_cast<unsigned>(answer.attempt->head().status);
    while (!answer.complete && body.size() < kReadOfError) {
        const auto progress = co_await answer.attempt->read(answer.scratch->body);
        if (!progress) {
            break;  // what came so far has to do
        }
        for (const auto piece : answer.scratch->body) {
            body += piece;
        }
        answer.complete = *progress == BodyProgress::complete;
    }
    metrics::StreamError error;
    error.message = status < 300 ? "The backend answered with something that is no event stream."
                                 : "The backend refused the request.";
    if (auto told = error_in(std::move(body), answer.dialect)) {
        error = std::move(*told);
    }
    scope.record.outcome = metrics::Outcome::backend_error;
    scope.record.error = Errc::upstream_error_event;
    record_attempt(scope, answer, metrics::AttemptOutcome::error_status);
    auto event = openai::event_for(answer.dialect, status < 300 ? 502 : status, error);
    event.request_id = scope.request_id();
    std::string farewell;
    openai::append_error_event(farewell, answer.dialect, event);
    co_await scope.exchange.sink.cut(farewell);
}

}  // namespace millrace::gateway
