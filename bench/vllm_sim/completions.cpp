// /v1/completions. Several prompts in one request give n choices each, numbered through.
#include "bench/vllm_sim/dialect.hpp"
#include "bench/vllm_sim/text.hpp"

namespace millrace::vllm_sim {
namespace {

class Completions final : public Dialect {
public:
    void whole(const Reply& reply, Texts& texts, std::string& out) const override {
        append(out, R"({"id":)", reply.id_json, R"(,"object":"text_completion","created":)",
               reply.created, R"(,"model":)", reply.model_json, R"(,"choices":[)");
        for (std::uint32_t choice = 0; choice < reply.choices; ++choice) {
            append(
                out, choice == 0 ? "" : ",", R"({"index":)", choice, R"(,"text":")",
                text_from(reply, texts, choice, 0), R"(","logprobs":null,"finish_reason":")",
                reply.length ? "length" : "stop",
                R"(","stop_reason":null,"token_ids":null,"prompt_logprobs":null,"prompt_token_ids":null})");
        }
        out += R"(],"service_tier":null,"system_fingerprint":null,"usage":)";
        append_usage(out, reply);
        out += R"(,"kv_transfer_params":null})";
    }

    void begin(Reply& reply, std::string& /*scratch*/, EventSink& /*sink*/) const override {
        reply.chunk_head = R"(data: {"id":)";
        append(reply.chunk_head, reply.id_json, R"(,"object":"text_completion","created":)",
               reply.created, R"(,"model":)", reply.model_json, R"(,"choices":[)");
    }

    void token(const Reply& reply, Texts& texts, std::uint32_t choice, std::uint32_t index,
               std::string& scratch, EventSink& sink) const override {
        scratch = reply.chunk_head;
        append(scratch, R"({"index":)", choice, R"(,"text":")", piece(reply, texts, choice, index),
               R"(","logprobs":null,"finish_reason":)");
        if (reply.is_last(index)) {
            scratch += reply.length ? R"("length")" : R"("stop")";
        } else {
            scratch += "null";
        }
        scratch += R"(,"stop_reason":null,"prompt_token_ids":null,"token_ids":null}])";
        if (reply.continuous_usage) {
            const std::uint32_t prompt = prompt_share(reply, choice);
            append(scratch, R"(,"usage":{"prompt_tokens":)", prompt, R"(,"total_tokens":)",
                   prompt + index + 1, R"(,"completion_tokens":)", index + 1, "}");
        } else if (reply.null_usage) {
            scratch += R"(,"usage":null)";
        }
        scratch += "}\n\n";
        sink.event(scratch);
    }

    void end(const Reply& reply, Texts& texts, std::string& scratch,
             EventSink& sink) const override {
        chat_dialect().end(reply, texts, scratch, sink);  // the same form after this chunk_head
    }

    void error(const ApiError& error, std::string& scratch, EventSink& sink) const override {
        chat_dialect().error(error, scratch, sink);
    }
};

}  // namespace

const Dialect& completions_dialect() {
    static const Completions dialect;
    return dialect;
}

}  // namespace millrace::vllm_sim
