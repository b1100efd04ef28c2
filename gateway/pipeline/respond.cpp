#include "gateway/pipeline/respond.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "gateway/http1/serializer.hpp"
#include "gateway/openai/error_body.hpp"
#include "gateway/openai/error_table.hpp"
#include "metrics/tokens/json_text.hpp"
#include "routing/wait_estimate.hpp"

namespace millrace::gateway {
namespace {

/// Where nothing better is known: long enough not to be a storm, short enough for every SDK.
constexpr Duration kRetryAfter = std::chrono::seconds(2);

/// Fields of a refusal, with the texts that they view.
class RefusalFields {
public:
    RefusalFields(const openai::ErrorRow& row, std::string_view request_id, std::string_view allow,
                  std::optional<std::chrono::milliseconds> retry_after) {
        add("content-type", "application/json");
        add("x-request-id", request_id);
        add("x-should-retry", row.is_retryable ? "true" : "false");
        if (!row.reason.empty()) {
            add("x-millrace-reason", row.reason);
        }
        if (row.status == 401) {
            add("www-authenticate", "Bearer");
        }
        if (row.status == 405 && !allow.empty()) {
            add("allow", allow);
        }
        if (retry_after && tells_when(row)) {
            milliseconds_ = std::to_string(retry_after->count());
            seconds_ = std::to_string((retry_after->count() + 999) / 1000);
            add("retry-after", seconds_);
            add("retry-after-ms", milliseconds_);
        }
    }
    /// Refusals that are about now, not about the request.
    static bool tells_when(const openai::ErrorRow& row) {
        return row.is_retryable && (row.status == 503 || row.status == 429);
    }
    HeaderFields all() const { return {fields_.data(), count_}; }

private:
    void add(std::string_view name, std::string_view value) {
        fields_[count_++] = {name, value, 0};
    }

    std::array<HeaderField, 8> fields_{};
    std::size_t count_ = 0;
    std::string seconds_;
    std::string milliseconds_;
};

}  // namespace

Task<void> refuse(RequestScope& scope, Error error) {
    auto& exchange = scope.exchange;
    if (exchange.abort && exchange.abort.reason() != AbortReason::drain_deadline) {
        error = to_error(exchange.abort.reason());
    }
    scope.fail(error);
    const auto& row = openai::error_row(error.code);
    if (row.status == 499) {
        co_return;
    }
    const auto wait =
        routing::retry_after(scope.retry_after.value_or(kRetryAfter), scope.services.loop.random());
    const auto dialect = openai::error_dialect(scope.record.path.view());
    if (exchange.sink.committed()) {  // by a heartbeat: the status is 200 for good
        auto event = openai::event_for(dialect, error);
        event.request_id = scope.request_id();
        if (RefusalFields::tells_when(row)) {
            event.retry_after_ms = static_cast<std::uint64_t>(wait.count());
        }
        std::string farewell;
        openai::append_error_event(farewell, dialect, event);
        co_return co_await exchange.sink.cut(farewell);
    }
    const auto body = openai::error_body(dialect, error, scope.request_id());
    const auto allowed = openai::allowed_methods(scope.record.path.view());
    const RefusalFields fields(row, scope.request_id(),
                               allowed.empty() ? http1::kAllowedMethods : allowed, wait);
    scope.record.status = static_cast<std::uint16_t>(row.status);
    AnswerHead head{static_cast<int>(row.status), body.size(), scope.record.method.view() != "HEAD",
                    fields.all()};
    co_await exchange.sink.respond(head, body, row.closes);
}

Task<void> respond_json(RequestScope& scope, std::string_view body) {
    const std::array<HeaderField, 2> fields{HeaderField{"content-type", "application/json", 0},
                                            HeaderField{"x-request-id", scope.request_id(), 0}};
    scope.record.status = 200;
    AnswerHead head{200, body.size(), scope.record.method.view() != "HEAD", fields};
    if (co_await scope.exchange.sink.respond(head, body, /*closes=*/false)) {
        scope.record.outcome = metrics::Outcome::completed;
    } else {
        scope.fail(to_error(scope.exchange.abort.reason()));
    }
}

std::string upstream_error_body(metrics::Dialect dialect, const metrics::StreamError& error,
                                std::string_view request_id) {
    const bool anthropic = dialect == metrics::Dialect::messages;
    std::string out = anthropic ? R"({"type":"error","error":{"type":)" : R"({"error":{"type":)";
    metrics::append_json_string(out, error.type.empty() ? "server_error" : error.type);
    out += R"(,"message":)";
    metrics::append_json_string(out, error.message);
    if (anthropic) {
        out += R"(},"request_id":)";
        metrics::append_json_string(out, request_id);
        return out += '}';
    }
    out += R"(,"param":null,"code":)";
    if (error.code.empty()) {
        out += "null";
    } else {
        metrics::append_json_string(out, error.code);
    }
    return out += "}}";
}

std::string bare_refusal(const Error& error, std::string_view request_id) {
    const auto& row = openai::error_row(error.code);
    const auto body = openai::error_body(metrics::Dialect::chat, error, request_id);
    std::string out;
    http1::HeadWriter writer(out);
    writer.status_line(static_cast<int>(row.status));
    for (const auto& field :
         RefusalFields(row, request_id, http1::kAllowedMethods, std::nullopt).all()) {
        writer.field(field.name, field.value);
    }
    writer.content_length(body.size());
    writer.close();
    writer.end();
    return out += body;
}

}  // namespace millrace::gateway
