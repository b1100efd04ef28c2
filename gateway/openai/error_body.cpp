#include "gateway/openai/error_body.hpp"

#include "gateway/openai/error_table.hpp"
#include "metrics/tokens/json_text.hpp"

namespace millrace::openai {
namespace {

using metrics::append_json_string;
using metrics::append_uint;
using metrics::Dialect;

void append_member(std::string& out, std::string_view name, std::string_view value) {
    out += ",\"";
    out += name;
    out += "\":";
    append_json_string(out, value);
}

void append_nullable(std::string& out, std::string_view name, std::string_view value) {
    if (value.empty()) {
        out += ",\"";
        out += name;
        out += "\":null";
    } else {
        append_member(out, name, value);
    }
}

/// `"status":…` and `"retry_after_ms":…`, each with its comma in front.
void append_status(std::string& out, const ErrorEvent& event) {
    out += ",\"status\":";
    append_uint(out, event.status);
    if (event.retry_after_ms) {
        out += ",\"retry_after_ms\":";
        append_uint(out, *event.retry_after_ms);
    }
}

/// OpenAI's object with its four keys and the two of ours.
void append_openai_error(std::string& out, const ErrorEvent& event) {
    out += "{\"message\":";
    append_json_string(out, event.message);
    append_member(out, "type", event.type);
    out += ",\"param\":null";
    append_nullable(out, "code", event.code);
    append_status(out, event);
    out += '}';
}

void append_responses_event(std::string& out, const ErrorEvent& event) {
    const bool named = !event.response_id.empty();
    out += named ? "event: response.failed\ndata: {\"type\":\"response.failed\""
                 : "event: error\ndata: {\"type\":\"error\"";
    out += ",\"sequence_number\":";
    append_uint(out, event.sequence_number);
    if (named) {
        out += ",\"response\":{\"id\":";
        append_json_string(out, event.response_id);
        out += ",\"object\":\"response\",\"status\":\"failed\",\"error\":{\"code\":";
        append_json_string(out, event.code.empty() ? event.type : event.code);
        append_member(out, "message", event.message);
        out += "},\"output\":[]}";
    } else {
        append_nullable(out, "code", event.code);
        append_member(out, "message", event.message);
        out += ",\"param\":null";
    }
    // SDKs raise on a truthy `error` in any event; without it a cut would look like an ordinary
    // event.
    out += ",\"error\":";
    append_openai_error(out, event);
    out += "}\n\n";
}

/// Anthropic's types follow from the status; a backend's own type is kept when it is one of theirs.
std::string_view anthropic_type(unsigned status) {
    switch (status) {
        case 401: return "authentication_error";
        case 403: return "permission_error";
        case 404: return "not_found_error";
        case 413: return "request_too_large";
        case 429: return "rate_limit_error";
        case 503:
        case 529: return "overloaded_error";
        case 504: return "timeout_error";
        default: return status < 500 ? "invalid_request_error" : "api_error";
    }
}

}  // namespace

std::string error_body(Dialect dialect, const Error& error, std::string_view request_id) {
    const ErrorRow& row = error_row(error.code);
    std::string out;
    if (dialect == Dialect::messages) {
        out += "{\"type\":\"error\",\"error\":{\"type\":";
        append_json_string(out, row.anthropic_type);
        append_member(out, "message", error.detail);
        out += '}';
        append_nullable(out, "request_id", request_id);
        out += '}';
        return out;
    }
    out += "{\"error\":{\"message\":";
    append_json_string(out, error.detail);
    append_member(out, "type", row.type);
    append_nullable(out, "param", row.param);
    append_nullable(out, "code", row.code);
    out += "}}";
    return out;
}

void append_error_event(std::string& out, Dialect dialect, const ErrorEvent& event) {
    switch (dialect) {
        case Dialect::chat:
        case Dialect::completions:
            out += "data: {\"error\":";
            append_openai_error(out, event);
            out += "}\n\n";
            return;
        case Dialect::messages:
            out += "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":";
            append_json_string(out, event.type);
            append_member(out, "message", event.message);
            append_nullable(out, "code", event.code);
            append_status(out, event);
            out += '}';
            append_nullable(out, "request_id", event.request_id);
            out += "}\n\n";
            return;
        case Dialect::responses: append_responses_event(out, event); return;
    }
}

ErrorEvent event_for(Dialect dialect, const Error& error) {
    const ErrorRow& row = error_row(error.code);
    ErrorEvent event;
    event.status = row.status;
    event.type = dialect == Dialect::messages ? row.anthropic_type : row.type;
    event.code = row.code;
    event.message = error.detail;
    return event;
}

ErrorEvent event_for(Dialect dialect, unsigned status, const metrics::StreamError& error) {
    ErrorEvent event;
    event.status = status;
    event.type = error.type;
    if (event.type.empty()) {
        event.type = dialect == Dialect::messages ? anthropic_type(status)
                     : status < 500               ? "invalid_request_error"
                                                  : "upstream_error";
    }
    event.code = error.code;
    event.message = error.message.empty() ? std::string_view("The backend answered with an error.")
                                          : std::string_view(error.message);
    return event;
}

}  // namespace millrace::openai
