// /v1/messages: Anthropic's dialect as vLLM converts it from chat completions (one content block,
// usage in message_start and message_delta). Our message_start also carries `type` and `role`,
// which Anthropic's clients expect.
#include "bench/vllm_sim/dialect.hpp"
#include "bench/vllm_sim/text.hpp"

namespace millrace::vllm_sim {
namespace {

std::string_view stop_reason(const Reply& reply) {
    if (reply.length) {
        return "max_tokens";
    }
    return reply.tool.empty() ? "end_turn" : "tool_use";
}

void append_usage_object(std::string& out, const Reply& reply, std::uint32_t output) {
    // vLLM counts cached tokens as input and has no cache fields here.
    append(out, R"({"input_tokens":)", reply.prompt_tokens, R"(,"output_tokens":)", output, "}");
}

void append_tool_block(std::string& out, const Reply& reply) {
    append(out, R"({"type":"tool_use","id":"chatcmpl-tool-)", reply.seed, R"(-0","name":)");
    append_json_string(out, reply.tool);
    out += R"(,"input":)";
}

class Messages final : public Dialect {
public:
    void whole(const Reply& reply, Texts& texts, std::string& out) const override {
        append(out, R"({"id":)", reply.id_json,
               R"(,"type":"message","role":"assistant","content":[)");
        const std::string_view text = text_from(reply, texts, 0, 0);
        if (reply.tool.empty()) {
            append(out, R"({"type":"text","text":")", text, "\"}");
        } else {
            append_tool_block(out, reply);
            append(out, R"({"text": ")", text, "\"}}");
        }
        append(out, R"(],"model":)", reply.model_json, R"(,"stop_reason":")", stop_reason(reply),
               R"(","stop_sequence":null,"usage":)");
        append_usage_object(out, reply, reply.tokens);
        out += '}';
    }

    void begin(Reply& reply, std::string& scratch, EventSink& sink) const override {
        scratch = "event: message_start\n";
        append(scratch, R"(data: {"type":"message_start","message":{"id":)", reply.id_json,
               R"(,"type":"message","role":"assistant","content":[],"model":)", reply.model_json,
               R"(,"stop_reason":null,"stop_sequence":null,"usage":)");
        append_usage_object(scratch, reply, 0);
        scratch += "}}\n\n";
        sink.event(scratch);
        scratch = "event: content_block_start\n";
        scratch += R"(data: {"type":"content_block_start","content_block":)";
        if (reply.tool.empty()) {
            scratch += R"({"type":"text","text":""})";
        } else {
            append_tool_block(scratch, reply);
            scratch += "{}}";
        }
        scratch += ",\"index\":0}\n\n";
        sink.event(scratch);
        reply.chunk_head = "event: content_block_delta\n";
        reply.chunk_head += R"(data: {"type":"content_block_delta","delta":{"type":)";
        reply.chunk_head += reply.tool.empty() ? R"("text_delta","text":")"
                                               : R"("input_json_delta","partial_json":")";
    }

    void token(const Reply& reply, Texts& texts, std::uint32_t choice, std::uint32_t index,
               std::string& scratch, EventSink& sink) const override {
        scratch = reply.chunk_head;
        const bool tool = !reply.tool.empty();
        append(scratch, tool && index == 0 ? kArgumentsOpen : std::string_view(),
               piece(reply, texts, choice, index),
               tool && reply.is_last(index) ? kArgumentsClose : std::string_view(),
               "\"},\"index\":0}\n\n");
        sink.event(scratch);
    }

    void end(const Reply& reply, Texts& /*texts*/, std::string& scratch,
             EventSink& sink) const override {
        sink.event(
            "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n");
        scratch = "event: message_delta\n";
        append(scratch, R"(data: {"type":"message_delta","delta":{"stop_reason":")",
               stop_reason(reply), R"("},"usage":)");
        append_usage_object(scratch, reply, reply.tokens);
        scratch += "}\n\n";
        sink.event(scratch);
        sink.event("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
    }

    void error(const ApiError& error, std::string& scratch, EventSink& sink) const override {
        scratch = "event: error\ndata: ";
        render_error(Api::messages, error, scratch);
        scratch += "\n\n";
        sink.event(scratch);
    }
};

}  // namespace

const Dialect& messages_dialect() {
    static const Messages dialect;
    return dialect;
}

}  // namespace millrace::vllm_sim
