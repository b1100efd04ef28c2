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
#include "gateway/pipeline/preference.hpp"
#include "gateway/pipeline/respond.hpp"

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
    if (head.framing.kind == http1::BodyKind::length && !answer.filter) {
        out.content_length = head.framing.content_length;
    } else if (!out.has_body) {
        // HEAD and 304: the length that a GET would have had.
        out.content_length = http1::parse_content_length(head.value(KnownField::content_length));
    }
    out.fields = fields;
    scope.record.status = static_cast<std::uint16_t>(head.status);
    scope.exchange.sink.begin(out);
}

/// Times of content, from the first to the last.
class ContentClock {
public:
    explicit ContentClock(RequestScope& scope) : scope_(scope) {}
    ContentClock(const ContentClock&) = delete;
    ContentClock& operator=(const ContentClock&) = delete;
    ~ContentClock() {
        if (seen_ > 0) {
            scope_.record.content_time = last_ - first_;
            scope_.record.content_events = seen_;
        }
    }

    void on_read(Answer& answer) {
        const auto& facts = answer.filter->facts();
        if (facts.content_events == seen_) {
            return;
        }
        const Instant now = scope_.services.loop.recent();
        if (seen_ == 0) {
            first_ = now;
            scope_.record.first_token = now - scope_.exchange.started;
            scope_.demand.first_content();
            note_first_token(scope_, answer);
            answer.attempt->content_seen();
        } else {
            scope_.services.metrics.variant(scope_.record.variant).inter_token.observe(now - last_);
        }
        seen_ = facts.content_events;
        last_ = now;
    }

private:
    RequestScope& scope_;
    std::uint64_t seen_ = 0;
    Instant first_{};
    Instant last_{};
};

void note_overhead(RequestScope& scope, const Answer& answer) {
    // Ours: from having the whole request to handing it on, and from having the answer's head to
    // handing that on.
    const Instant now = scope.services.loop.now();
    scope.record.overhead = (answer.sent_at - answer.ready_at) + (now - answer.head_at);
}

/// The client has left or stalled: what the backend has sent already is still counted, then the
/// connection closes.
void count_what_is_there(Answer& answer) {
    std::size_t drained = 0;
    while (drained < kDrainAfterAbort && answer.attempt->read_available(answer.scratch->body)) {
        const auto piece = answer.attempt->join(answer.scratch->body);
        drained += piece.size();
        if (answer.filter) {
            answer.scratch->out.clear();
            answer.filter->feed(piece, answer.scratch->out);
        }
    }
}

/// The answer cannot be completed: whoever still reads is told so, in a way that cannot be taken
/// for its end.
Task<void> break_off(RequestScope& scope, Answer& answer, const Error& error) {
    scope.fail(error);
    const bool client_reads =
        error.code != Errc::client_closed && error.code != Errc::client_write_stalled;
    if (!client_reads) {
        count_what_is_there(answer);
    }
    record_attempt(scope, answer, attempt_outcome(error.code));
    answer.attempt.reset();  // closes the connection: that is how the backend learns of it
    if (!client_reads) {
        co_return;
    }
    if (!scope.exchange.sink.committed()) {
        co_return co_await refuse(scope, error);  // a real status is still possible
    }
    std::string farewell;
    if (answer.filter && !answer.filter->is_inside_event()) {
        const auto& facts = answer.filter->facts();
        auto event = openai::event_for(answer.dialect, error);
        event.request_id = scope.request_id();
        event.response_id = facts.response_id;
        event.sequence_number = facts.forwarded_events;
        openai::append_error_event(farewell, answer.dialect, event);
    }
    co_await scope.exchange.sink.cut(farewell);
}

/// What to do about the first response id that shows up.
class ResponseMemory {
public:
    ResponseMemory(RequestScope& scope, const Request& request, const Resolved& resolved)
        : scope_(scope),
          resolved_(resolved),
          wanted_(request.surface != nullptr && request.surface->api == openai::Api::responses) {}

    void on_id(std::string_view id, const Answer& answer) {
        if (wanted_ && !id.empty()) {
            wanted_ = false;
            remember_response(scope_, id, resolved_.decision.model_id, answer.endpoint->url);
        }
    }

    /// The whole of an answer that is no stream has been read.
    void on_complete(const Request& request, const Answer& answer) {
        if (answer.usage) {
            on_id(answer.usage->id(), answer);
        }
        if (request.surface != nullptr && request.surface->api == openai::Api::response_delete &&
            scope_.record.status < 300) {
            scope_.services.response_ids.forget(request.id);
        }
    }

private:
    RequestScope& scope_;
    const Resolved& resolved_;
    bool wanted_;
};

Task<Result<void>> relay_events(RequestScope& scope, ResponseMemory& memory, Answer& answer) {
    auto& out = answer.scratch->out;
    ContentClock clock(scope);
    bool first = true;
    for (;;) {
        clock.on_read(answer);
        memory.on_id(answer.filter->facts().response_id, answer);
        if (!out.empty() || answer.complete) {
            if (answer.complete && answer.attempt->head().need_eof &&
                !answer.filter->facts().saw_terminal) {
                co_return failure(Errc::upstream_truncated, Origin::upstream,
                                  "The backend's stream ended without its end marker.");
            }
            if (!co_await scope.exchange.sink.write(out, answer.complete)) {
                co_return std::unexpected(to_error(scope.exchange.abort.reason()));
            }
            if (first) {
                first = false;
                note_overhead(scope, answer);
                // Committed: no attempt will need the request again, and a stream may last for
                // minutes.
                scope.exchange.body.release();
                scope.budget.release();
                answer.scratch->release_request();
            }
        }
        if (answer.complete) {
            co_return Result<void>{};
        }
        out.clear();
        if (auto read = co_await read_events(answer); !read) {
            co_return std::unexpected(std::move(read.error()));
        }
    }
}

void count_in_body(Answer& answer) {
    if (answer.usage) {
        for (const auto piece : answer.scratch->body) {
            answer.usage->feed(piece);
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
Task<void> answer_with_first_error(RequestScope& scope, Answer& answer) {
    const auto& error = *answer.filter->facts().error;
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

Task<void> relay(RequestScope& scope, const Request& request, const Resolved& resolved,
                 Answer& answer) {
    const bool is_late = scope.exchange.sink.committed();  // by a heartbeat
    if (is_late && !answer.filter) {
        co_return co_await answer_late(scope, answer);
    }
    if (!is_late && answer.filter && answer.filter->first_event() == openai::FirstEvent::error &&
        answer.filter->facts().error) {
        record_attempt(scope, answer, AttemptOutcome::error_event);
        co_await answer_with_first_error(scope, answer);
        count_tokens(scope, request, answer);
        co_return;
    }
    if (!is_late) {
        begin_answer(scope, answer);
    }
    ResponseMemory memory(scope, request, resolved);
    auto relayed = answer.filter ? co_await relay_events(scope, memory, answer)
                                 : co_await relay_bytes(scope, request, memory, answer);
    if (!relayed) {
        co_await break_off(scope, answer, relayed.error());
    } else {
        record_success(scope, answer);
        answer.attempt->finish(*answer.backend->settings);
    }
    count_tokens(scope, request, answer);
}

}  // namespace millrace::gateway
