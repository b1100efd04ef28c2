#include "gateway/pipeline/relay.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>

#include "gateway/http1/hop_by_hop.hpp"
#include "gateway/openai/error_body.hpp"
#include "gateway/pipeline/await_answer.hpp"
#include "gateway/pipeline/count_tokens.hpp"
#include "gateway/pipeline/heartbeat.hpp"
#include "gateway/pipeline/relay_events.hpp"
#include "gateway/pipeline/respond.hpp"
#include "gateway/pipeline/response_memory.hpp"

namespace millrace::gateway {
namespace {

using http1::KnownField;
using metrics::AttemptOutcome;

/// Waiting bytes that are still counted after the client has left.
constexpr std::size_t kDrainAfterAbort = std::size_t{64} * 1024;

/// For whoever debugs a choice: who answers, and why it was asked.
std::string describe_endpoint(const metrics::AttemptRecord& attempt, std::string_view variant) {
    std::string out(attempt.endpoint.view());
    out.append("; variant=").append(variant);
    out.append("; by=").append(attempt.chosen_by);
    return out;
}

/// The backend's head as the client gets it. The views live until the next read from the backend.
void begin_answer(RequestScope& scope, const Answer& answer) {
    const auto& head = answer.attempt->head();
    auto& fields = answer.scratch->fields;
    fields.clear();
    for (const auto& field : head.fields.all()) {
        if (http1::forwards_to_client(head, field) &&
            http1::known(field) != KnownField::x_request_id) {
            fields.push_back(field);
        }
    }
    fields.push_back({"x-request-id", scope.request_id(), 0});
    std::string endpoint;  // until begin() has copied the fields
    if (scope.config().http.debug_header) {
        endpoint =
            describe_endpoint(*scope.record.attempts.last(), scope.record.variant_name.view());
        fields.push_back({"x-millrace-endpoint", endpoint, 0});
    }
    if (head.is_event_stream) {
        if (!head.fields.has(KnownField::cache_control)) {
            fields.push_back({"cache-control", "no-cache", 0});
        }
        fields.push_back({"x-accel-buffering", "no", 0});
    }
    AnswerHead out;
    out.status = head.status;
    out.has_body = head.framing.kind != http1::BodyKind::none;
    if (head.framing.kind == http1::BodyKind::length && !answer.filter()) {
        out.content_length = head.framing.content_length;
    } else if (!out.has_body) {
        // HEAD and 304: the length that a GET would have had.
        out.content_length = http1::parse_content_length(head.value(KnownField::content_length));
    }
    out.fields = fields;
    scope.record.status = static_cast<std::uint16_t>(head.status);
    scope.exchange.sink.begin(out);
}

/// The client has left or stalled: what the backend has sent already is still counted, then the
/// connection closes.
void count_what_is_there(Answer& answer) {
    std::size_t drained = 0;
    while (drained < kDrainAfterAbort && answer.attempt->read_available(answer.scratch->body)) {
        const auto piece = answer.attempt->join(answer.scratch->body);
        drained += piece.size();
        if (answer.filter()) {
            answer.scratch->out.clear();
            answer.filter()->feed(piece, answer.scratch->out);
        }
    }
}

// The rare ends of a relay are kept out of line: inlined, their frames would be part of that of
// every stream.

/// The answer cannot be completed: whoever still reads is told so, in a way that cannot be taken
/// for its end.
[[gnu::noinline]] Task<void> break_off(RequestScope& scope, Answer& answer, const Error& error) {
    scope.fail(error);
    const bool client_reads =
        error.code != Errc::client_closed && error.code != Errc::client_write_stalled;
    if (answer.attempt) {  // else those who should have gone on are over already
        if (!client_reads) {
            count_what_is_there(answer);
        }
        record_attempt(scope, answer, attempt_outcome(error.code));
        answer.attempt.reset();  // closes the connection: that is how the backend learns of it
    }
    if (!client_reads) {
        co_return;
    }
    if (!scope.exchange.sink.committed()) {
        co_return co_await refuse(scope, error);  // a real status is still possible
    }
    std::string farewell;
    if (answer.filter() ? !answer.filter()->is_inside_event() : answer.continuation != nullptr) {
        auto event = openai::event_for(answer.dialect, error);
        event.request_id = scope.request_id();
        if (answer.filter()) {
            event.response_id = answer.filter()->facts().response_id;
            event.sequence_number = answer.filter()->facts().forwarded_events;
        }
        openai::append_error_event(farewell, answer.dialect, event);
    }
    co_await scope.exchange.sink.cut(farewell);
}

/// The backend failed when everything was said and counted: the client still gets the end.
[[gnu::noinline]] Task<bool> end_instead(RequestScope& scope, Answer& answer, const Error& error) {
    const auto ending =
        answer.filter() && !scope.exchange.abort ? answer.filter()->ending() : std::string();
    std::array<std::string_view, 1> pieces{ending};
    if (ending.empty() || !co_await scope.exchange.sink.write(pieces, /*last=*/true)) {
        co_return false;
    }
    record_attempt(scope, answer, attempt_outcome(error.code));
    answer.attempt.reset();
    scope.record.outcome = metrics::Outcome::completed;
    co_return true;
}

void count_in_body(Answer& answer) {
    if (answer.usage()) {
        for (const auto piece : answer.scratch->body) {
            answer.usage()->feed(piece);
        }
    }
}

Task<Result<void>> relay_bytes(RequestScope& scope, const Request& request, ResponseMemory& memory,
                               Answer& answer) {
    auto& body = answer.scratch->body;
    bool first = true;
    scope.demand.first_content();
    answer.attempt->content_seen();
    if (!answer.held.empty()) {
        body.assign(1, answer.held);
    }
    for (;;) {
        if (body.empty() && !answer.complete) {
            const auto progress = co_await answer.attempt->read(body);
            if (!progress) {
                co_return std::unexpected(progress.error());
            }
            answer.complete = *progress == BodyProgress::complete;
        }
        count_in_body(answer);
        if (answer.complete) {
            memory.on_complete(request, answer);  // before the client can act on it
        }
        if (!co_await scope.exchange.sink.write(body, answer.complete)) {
            co_return std::unexpected(to_error(scope.exchange.abort.reason()));
        }
        if (first) {
            first = false;
            note_overhead(scope, answer);
        }
        if (answer.complete) {
            co_return Result<void>{};
        }
        body.clear();
    }
}

/// The stream began with an error: the client gets it as the status it would have been.
[[gnu::noinline]] Task<void> answer_with_first_error(RequestScope& scope, Answer& answer) {
    const auto& error = *answer.filter()->facts().error;
    const auto status = metrics::status_of(error);
    const Error ours{Errc::upstream_error_event, Origin::upstream, error.message};
    scope.fail(ours);
    const auto body = upstream_error_body(answer.dialect, error, scope.request_id());
    const std::array<HeaderField, 2> fields{HeaderField{"content-type", "application/json", 0},
                                            HeaderField{"x-request-id", scope.request_id(), 0}};
    scope.record.status = static_cast<std::uint16_t>(status);
    AnswerHead head{static_cast<int>(status), body.size(), true, fields};
    co_await scope.exchange.sink.respond(head, body, /*closes=*/false);
}

}  // namespace

Task<void> relay(RequestScope& scope, const Request& request, Resolved& resolved, Answer& answer,
                 std::unique_ptr<Hedge>& hedge) {
    const bool is_late = scope.exchange.sink.committed();  // by a heartbeat
    if (is_late && !answer.filter()) {
        co_return co_await answer_late(scope, answer);
    }
    if (!is_late && answer.filter() &&
        answer.filter()->first_event() == openai::FirstEvent::error &&
        answer.filter()->facts().error) {
        record_attempt(scope, answer, AttemptOutcome::error_event);
        co_await answer_with_first_error(scope, answer);
        count_tokens(scope, request, answer);
        co_return;
    }
    if (!is_late) {
        begin_answer(scope, answer);
    }
    ResponseMemory memory(scope, request, resolved);
    Result<void> relayed;
    if (answer.filter()) {
        EventRelay events(scope, request, memory);
        relayed = co_await events.run(answer);
        while (!relayed &&
               co_await go_on(scope, request, resolved, answer, hedge, relayed.error())) {
            relayed = co_await events.run(answer);
        }
    } else {
        relayed = co_await relay_bytes(scope, request, memory, answer);
    }
    if (relayed) {
        record_success(scope, answer);
        answer.attempt->finish(*answer.backend->settings);
    } else if (!co_await end_instead(scope, answer, relayed.error())) {
        co_await break_off(scope, answer, relayed.error());
    }
    count_tokens(scope, request, answer);
}

}  // namespace millrace::gateway
