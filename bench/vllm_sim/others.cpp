// The APIs that answer with one JSON body and generate nothing, and error bodies.
#include <algorithm>

#include "bench/vllm_sim/dialect.hpp"
#include "bench/vllm_sim/text.hpp"

namespace millrace::vllm_sim {
namespace {

constexpr std::uint32_t kDimensions =
    8;  ///< of an embedding; content is deterministic, size is not the point

void append_prompt_usage(std::string& out, const Reply& reply) {
    append(out, R"("usage":{"prompt_tokens":)", reply.prompt_tokens, R"(,"total_tokens":)",
           reply.prompt_tokens, R"(,"completion_tokens":0,"prompt_tokens_details":null})");
}

/// A number in [0, 1) that depends on seed, row and column only.
double value_at(std::uint64_t seed, std::uint32_t row, std::uint32_t column) {
    const std::uint64_t mixed = (seed * 31 + row * 17 + column + 1) * 0x9e3779b97f4a7c15ULL;
    return static_cast<double>(mixed >> 44U) / static_cast<double>(1U << 20U);
}

void append_vector(std::string& out, const Reply& reply, std::uint32_t row) {
    out += '[';
    for (std::uint32_t column = 0; column < kDimensions; ++column) {
        out += column == 0 ? "" : ",";
        append_fixed(out, value_at(reply.seed, row, column), 6);
    }
    out += ']';
}

void append_list_head(std::string& out, const Reply& reply) {
    append(out, R"({"id":)", reply.id_json, R"(,"object":"list","created":)", reply.created,
           R"(,"model":)", reply.model_json, R"(,"data":[)");
}

void render_rows(const ApiRequest& request, const Reply& reply, std::string& out) {
    append_list_head(out, reply);
    for (std::uint32_t row = 0; row < request.inputs; ++row) {
        append(out, row == 0 ? "" : ",", R"({"index":)", row);
        switch (request.api) {
            case Api::embeddings:
                out += R"(,"object":"embedding","embedding":)";
                append_vector(out, reply, row);
                break;
            case Api::pooling:
                out += R"(,"object":"pooling","data":)";
                append_vector(out, reply, row);
                break;
            case Api::score:
                out += R"(,"object":"score","score":)";
                append_fixed(out, value_at(reply.seed, row, 0), 6);
                break;
            default:
                out += R"(,"label":"LABEL_0","probs":[)";
                append_fixed(out, value_at(reply.seed, row, 0), 6);
                out += ',';
                append_fixed(out, 1 - value_at(reply.seed, row, 0), 6);
                out += R"(],"num_classes":2)";
        }
        out += '}';
    }
    out += "],";
    append_prompt_usage(out, reply);
    out += '}';
}

void render_rerank(const ApiRequest& request, const Reply& reply, std::string& out) {
    append(out, R"({"id":)", reply.id_json, R"(,"model":)", reply.model_json,
           R"(,"usage":{"prompt_tokens":)", reply.prompt_tokens, R"(,"total_tokens":)",
           reply.prompt_tokens, R"(},"results":[)");
    for (std::uint32_t row = 0; row < request.inputs; ++row) {
        append(out, row == 0 ? "" : ",", R"({"index":)", row,
               R"(,"document":{"text":null,"multi_modal":null},"relevance_score":)");
        append_fixed(out, 1.0 / (1 + row), 6);  // best first
        out += '}';
    }
    out += "]}";
}

}  // namespace

void render_other(const ApiRequest& request, const Reply& reply, std::string& out) {
    switch (request.api) {
        case Api::rerank: render_rerank(request, reply, out); break;
        case Api::count_tokens: append(out, R"({"input_tokens":)", reply.prompt_tokens, "}"); break;
        case Api::transcriptions:
            append(out, R"({"text":")", token_at(reply.seed, 0), R"(","model":)", reply.model_json,
                   R"(,"usage":{"type":"duration","seconds":1}})");
            break;
        case Api::images:
            append(out, R"({"created":)", reply.created, R"(,"data":[)");
            for (std::uint32_t i = 0; i < request.n; ++i) {
                append(out, i == 0 ? "" : ",", R"({"b64_json":"c2ltdWxhdGVk"})");
            }
            append(out, R"(],"usage":{"input_tokens":)", reply.prompt_tokens,
                   R"(,"output_tokens":0,"total_tokens":)", reply.prompt_tokens, "}}");
            break;
        case Api::tokenize: {
            const std::uint32_t count = reply.prompt_tokens;
            append(out, R"({"count":)", count, R"(,"max_model_len":32768,"tokens":[)");
            for (std::uint32_t i = 0; i < count; ++i) {
                append(out, i == 0 ? "" : ",", i);
            }
            out += R"(],"token_strs":null})";
            break;
        }
        case Api::detokenize: append(out, R"({"prompt":")", token_at(reply.seed, 0), "\"}"); break;
        default: render_rows(request, reply, out);
    }
}

void render_error(Api api, const ApiError& error, std::string& out) {
    if (api == Api::messages || api == Api::count_tokens) {
        out += R"({"type":"error","error":{"type":)";
        append_json_string(out, error.type);
        out += R"(,"message":)";
        append_json_string(out, error.message);
        out += "}}";
        return;
    }
    out += R"({"error":{"message":)";
    append_json_string(out, error.message);
    out += R"(,"type":)";
    append_json_string(out, error.type);
    out += R"(,"param":)";
    if (error.param.empty()) {
        out += "null";
    } else {
        append_json_string(out, error.param);
    }
    append(out, R"(,"code":)", error.status, "}}");
}

const Dialect& dialect_of(Api api) {
    switch (api) {
        case Api::completions: return completions_dialect();
        case Api::responses: return responses_dialect();
        case Api::messages: return messages_dialect();
        default: return chat_dialect();
    }
}

std::string_view id_prefix(Api api) {
    switch (api) {
        case Api::chat:
        case Api::messages: return "chatcmpl-";
        case Api::completions: return "cmpl-";
        case Api::responses: return "resp_";
        case Api::embeddings: return "embd-";
        case Api::rerank: return "rerank-";
        case Api::score: return "score-";
        case Api::classify: return "classify-";
        case Api::pooling: return "pool-";
        default: return "sim-";
    }
}

}  // namespace millrace::vllm_sim
