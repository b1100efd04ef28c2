// /v1/responses: one message item, or one function_call item when a tool is forced. As in vLLM the
// stream always ends with response.completed, whose `response` carries the usage; there is no
// [DONE].
#include "bench/vllm_sim/dialect.hpp"
#include "bench/vllm_sim/text.hpp"

namespace millrace::vllm_sim {
namespace {

/// Sequence numbers are fixed by position: 4 events before the deltas with a text item, 3 with a
/// function call.
std::uint32_t opening_events(const Reply& reply) {
    return reply.tool.empty() ? 4 : 3;
}

void open_event(std::string& out, std::string_view type, std::uint32_t sequence) {
    out.clear();
    append(out, "event: ", type, "\ndata: {\"type\":\"", type, R"(","sequence_number":)", sequence);
}

void append_text_part(std::string& out, std::string_view text) {
    append(out, R"({"type":"output_text","text":")", text,
           R"(","annotations":[],"logprobs":null})");
}

void append_item(std::string& out, const Reply& reply, std::string_view text, bool done) {
    const std::string_view status = done ? "completed" : "in_progress";
    if (!reply.tool.empty()) {
        append(out, R"({"id":"fc_)", reply.seed, R"(","type":"function_call","call_id":"call_)",
               reply.seed, R"(","name":)");
        append_json_string(out, reply.tool);
        append(out, R"(,"arguments":")", done ? kArgumentsOpen : "", text,
               done ? kArgumentsClose : "", R"(","status":")", status, "\"}");
        return;
    }
    append(out, R"({"id":"msg_)", reply.seed, R"(","type":"message","role":"assistant","status":")",
           status, R"(","content":[)");
    if (done) {
        append_text_part(out, text);
    }
    out += "]}";
}

void append_response(std::string& out, const Reply& reply, std::string_view text,
                     std::string_view status) {
    const bool done = status == "completed" || status == "incomplete";
    append(out, R"({"id":)", reply.id_json, R"(,"object":"response","created_at":)", reply.created,
           R"(,"status":")", status, R"(","error":null,"incomplete_details":)",
           status == "incomplete" ? R"({"reason":"max_output_tokens"})" : "null", R"(,"model":)",
           reply.model_json, R"(,"output":[)");
    if (done) {
        append_item(out, reply, text, true);
    }
    out +=
        R"(],"parallel_tool_calls":true,"tool_choice":"auto","tools":[],"previous_response_id":)";
    if (reply.previous_response_id.empty()) {
        out += "null";
    } else {
        append_json_string(out, reply.previous_response_id);
    }
    append(out, R"(,"store":)", reply.store ? "true" : "false", R"(,"usage":)");
    if (!done) {
        out += "null}";
        return;
    }
    append(out, R"({"input_tokens":)", reply.prompt_tokens,
           R"(,"input_tokens_details":{"cached_tokens":)", reply.cached_tokens,
           R"(},"output_tokens":)", reply.tokens,
           R"(,"output_tokens_details":{"reasoning_tokens":)", reply.reasoning_tokens,
           R"(},"total_tokens":)", reply.prompt_tokens + reply.tokens, "}}");
}

std::string_view final_status(const Reply& reply) {
    return reply.length ? "incomplete" : "completed";
}

void append_place(std::string& out, const Reply& reply) {
    append(out, R"(,"item_id":")", reply.tool.empty() ? "msg_" : "fc_", reply.seed,
           R"(","output_index":0)");
    if (reply.tool.empty()) {
        out += R"(,"content_index":0)";
    }
}

class Responses final : public Dialect {
public:
    void whole(const Reply& reply, Texts& texts, std::string& out) const override {
        append_response(out, reply, text_from(reply, texts, 0, 0), final_status(reply));
    }

    void begin(Reply& reply, std::string& scratch, EventSink& sink) const override {
        std::uint32_t sequence = 0;
        for (const std::string_view type : {"response.created", "response.in_progress"}) {
            open_event(scratch, type, sequence++);
            scratch += R"(,"response":)";
            append_response(scratch, reply, {}, "in_progress");
            scratch += "}\n\n";
            sink.event(scratch);
        }
        open_event(scratch, "response.output_item.added", sequence++);
        scratch += R"(,"output_index":0,"item":)";
        append_item(scratch, reply, {}, false);
        scratch += "}\n\n";
        sink.event(scratch);
        if (reply.tool.empty()) {
            open_event(scratch, "response.content_part.added", sequence++);
            append_place(scratch, reply);
            scratch += R"(,"part":)";
            append_text_part(scratch, {});
            scratch += "}\n\n";
            sink.event(scratch);
        }
    }

    void token(const Reply& reply, Texts& texts, std::uint32_t choice, std::uint32_t index,
               std::string& scratch, EventSink& sink) const override {
        const bool tool = !reply.tool.empty();
        open_event(scratch,
                   tool ? "response.function_call_arguments.delta" : "response.output_text.delta",
                   opening_events(reply) + index);
        append_place(scratch, reply);
        append(scratch, R"(,"delta":")", tool && index == 0 ? kArgumentsOpen : std::string_view(),
               piece(reply, texts, choice, index),
               tool && reply.is_last(index) ? kArgumentsClose : std::string_view(), "\"",
               tool ? "" : R"(,"logprobs":[])", "}\n\n");
        sink.event(scratch);
    }

    void end(const Reply& reply, Texts& texts, std::string& scratch,
             EventSink& sink) const override {
        std::uint32_t sequence = opening_events(reply) + reply.tokens;
        const std::string_view text = text_from(reply, texts, 0, 0);
        if (reply.tool.empty()) {
            open_event(scratch, "response.output_text.done", sequence++);
            append_place(scratch, reply);
            append(scratch, R"(,"text":")", text, "\",\"logprobs\":[]}\n\n");
            sink.event(scratch);
            open_event(scratch, "response.content_part.done", sequence++);
            append_place(scratch, reply);
            scratch += R"(,"part":)";
            append_text_part(scratch, text);
        } else {
            open_event(scratch, "response.function_call_arguments.done", sequence++);
            append_place(scratch, reply);
            append(scratch, R"(,"arguments":")", kArgumentsOpen, text, kArgumentsClose, "\"");
        }
        scratch += "}\n\n";
        sink.event(scratch);
        open_event(scratch, "response.output_item.done", sequence++);
        scratch += R"(,"output_index":0,"item":)";
        append_item(scratch, reply, text, true);
        scratch += "}\n\n";
        sink.event(scratch);
        open_event(scratch, "response.completed", sequence);
        scratch += R"(,"response":)";
        append_response(scratch, reply, text, final_status(reply));
        scratch += "}\n\n";
        sink.event(scratch);
    }

    void error(const ApiError& error, std::string& scratch, EventSink& sink) const override {
        scratch = "event: error\ndata: {\"type\":\"error\",\"code\":";
        append_json_string(scratch, error.type);
        scratch += R"(,"message":)";
        append_json_string(scratch, error.message);
        scratch += ",\"param\":null,\"sequence_number\":0}\n\n";
        sink.event(scratch);
    }
};

}  // namespace

void render_response(const Reply& reply, Texts& texts, std::string_view status, std::string& out) {
    append_response(out, reply, text_from(reply, texts, 0, 0),
                    status.empty() ? final_status(reply) : status);
}

const Dialect& responses_dialect() {
    static const Responses dialect;
    return dialect;
}

}  // namespace millrace::vllm_sim
