// /v1/chat/completions.
#include <algorithm>

#include "bench/vllm_sim/dialect.hpp"
#include "bench/vllm_sim/text.hpp"

namespace millrace::vllm_sim {
namespace {

std::string_view finish_reason(const Reply& reply) {
    if (reply.length) {
        return "length";
    }
    return !reply.tool.empty() && !reply.named_tool ? "tool_calls" : "stop";
}

void append_tool_head(std::string& out, const Reply& reply, std::uint32_t choice) {
    append(out, R"("id":"chatcmpl-tool-)", reply.seed, "-", choice, R"(","type":"function",)");
}

void append_message(std::string& out, const Reply& reply, Texts& texts, std::uint32_t choice) {
    out += R"("message":{"role":"assistant","content":)";
    if (!reply.tool.empty()) {
        out +=
            R"("","refusal":null,"annotations":null,"audio":null,"function_call":null,"tool_calls":[{)";
        append_tool_head(out, reply, choice);
        out += R"("function":{"name":)";
        append_json_string(out, reply.tool);
        append(out, R"(,"arguments":")", kArgumentsOpen, text_from(reply, texts, choice, 0),
               kArgumentsClose, R"("}}],"reasoning":null})");
        return;
    }
    append(
        out, "\"", text_from(reply, texts, choice, reply.reasoning_tokens),
        R"(","refusal":null,"annotations":null,"audio":null,"function_call":null,"tool_calls":[],"reasoning":)");
    if (reply.reasoning_tokens == 0) {
        out += "null}";
        return;
    }
    const std::string_view all = text_from(reply, texts, choice, 0);
    const std::size_t rest = text_from(reply, texts, choice, reply.reasoning_tokens).size();
    append(out, "\"", all.substr(0, all.size() - rest), "\"}");
}

/// `usage` of one choice so far, or its placeholder. Goes between `choices` and `prompt_token_ids`.
void append_chunk_usage(std::string& out, const Reply& reply, std::uint32_t choice,
                        std::uint32_t tokens) {
    if (reply.continuous_usage) {
        const std::uint32_t prompt = prompt_share(reply, choice);
        append(out, R"(,"usage":{"prompt_tokens":)", prompt, R"(,"total_tokens":)", prompt + tokens,
               R"(,"completion_tokens":)", tokens, "}");
    } else if (reply.null_usage) {
        out += R"(,"usage":null)";
    }
}

void append_delta(std::string& out, const Reply& reply, Texts& texts, std::uint32_t choice,
                  std::uint32_t index) {
    if (reply.tool.empty()) {
        const bool reasoning = index < reply.reasoning_tokens;
        append(out, reasoning ? R"("reasoning":")" : R"("content":")",
               piece(reply, texts, choice, index), "\"");
        return;
    }
    out += R"("tool_calls":[{)";
    if (index == 0) {
        append_tool_head(out, reply, choice);
    }
    out += R"("index":0,"function":{)";
    if (index == 0) {
        out += R"("name":)";
        append_json_string(out, reply.tool);
        out += ',';
    }
    append(out, R"("arguments":")", index == 0 ? kArgumentsOpen : std::string_view(),
           piece(reply, texts, choice, index),
           reply.is_last(index) ? kArgumentsClose : std::string_view(), R"("}}])");
}

class Chat final : public Dialect {
public:
    void whole(const Reply& reply, Texts& texts, std::string& out) const override {
        append(out, R"({"id":)", reply.id_json, R"(,"object":"chat.completion","created":)",
               reply.created, R"(,"model":)", reply.model_json, R"(,"choices":[)");
        for (std::uint32_t choice = 0; choice < reply.choices; ++choice) {
            append(out, choice == 0 ? "" : ",", R"({"index":)", choice, ",");
            append_message(out, reply, texts, choice);
            append(out, R"(,"logprobs":null,"finish_reason":")", finish_reason(reply),
                   R"(","stop_reason":null,"token_ids":null})");
        }
        out += R"(],"service_tier":null,"system_fingerprint":null,"usage":)";
        append_usage(out, reply);
        out += R"(,"prompt_logprobs":null,"prompt_token_ids":null,"kv_transfer_params":null})";
    }

    void begin(Reply& reply, std::string& scratch, EventSink& sink) const override {
        reply.chunk_head = R"(data: {"id":)";
        append(reply.chunk_head, reply.id_json, R"(,"object":"chat.completion.chunk","created":)",
               reply.created, R"(,"model":)", reply.model_json, R"(,"choices":[)");
        for (std::uint32_t choice = 0; choice < reply.choices; ++choice) {
            scratch = reply.chunk_head;
            append(
                scratch, R"({"index":)", choice,
                R"(,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}])");
            append_chunk_usage(scratch, reply, choice, 0);
            scratch += ",\"prompt_token_ids\":null}\n\n";
            sink.event(scratch);
        }
    }

    void token(const Reply& reply, Texts& texts, std::uint32_t choice, std::uint32_t index,
               std::string& scratch, EventSink& sink) const override {
        scratch = reply.chunk_head;
        append(scratch, R"({"index":)", choice, R"(,"delta":{)");
        append_delta(scratch, reply, texts, choice, index);
        scratch += R"(},"logprobs":null,"finish_reason":)";
        if (reply.is_last(index)) {
            append(scratch, "\"", finish_reason(reply), R"(","stop_reason":null)");
        } else {
            scratch += "null";
        }
        scratch += R"(,"token_ids":null}])";
        append_chunk_usage(scratch, reply, choice, std::min(index + 1, reply.tokens));
        scratch += "}\n\n";
        sink.event(scratch);
    }

    void end(const Reply& reply, Texts& /*texts*/, std::string& scratch,
             EventSink& sink) const override {
        if (reply.include_usage) {
            scratch = reply.chunk_head;
            scratch += R"(],"usage":)";
            append_usage(scratch, reply);
            scratch += "}\n\n";
            sink.event(scratch);
        }
        sink.event("data: [DONE]\n\n");
    }

    void error(const ApiError& error, std::string& scratch, EventSink& sink) const override {
        scratch = "data: ";
        render_error(Api::chat, error, scratch);
        scratch += "\n\n";
        sink.event(scratch);
        sink.event("data: [DONE]\n\n");
    }
};

}  // namespace

const Dialect& chat_dialect() {
    static const Chat dialect;
    return dialect;
}

}  // namespace millrace::vllm_sim
