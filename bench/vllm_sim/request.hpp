// What the simulator understands of a request: the API of its path, the fields of its body that
// change the answer, and the test controls (headers `x-sim-*`, or the body member `sim: {...}` with
// the same names without the prefix; the body wins). Pure; thread-safety: plain values. Views point
// into the request's buffer.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "config/base/clock.hpp"
#include "config/base/header_field.hpp"

namespace millrace::vllm_sim {

enum class Api : std::uint8_t {
    chat,
    completions,
    responses,
    messages,
    embeddings,
    count_tokens,
    rerank,
    score,
    classify,
    pooling,
    transcriptions,
    images,
    tokenize,
    detokenize,
    none
};

/// The inference API behind a POST to `path`, or Api::none.
Api api_of(std::string_view path);

/// True for the APIs that generate tokens one by one and can stream.
constexpr bool generates(Api api) {
    return api <= Api::messages;
}

/// A refusal before anything was computed; rendered in the dialect of the path.
struct ApiError {
    int status = 400;
    std::string message;
    std::string type = "BadRequestError";
    std::string param;  ///< empty: null
};

/// What a test wants this request to do.
struct Controls {
    std::optional<std::uint32_t> tokens;          ///< output tokens per choice
    std::optional<std::uint32_t> response_bytes;  ///< exact length of the text per choice
    std::optional<std::uint32_t> prompt_tokens;
    std::optional<std::uint32_t> cached_tokens;
    std::optional<std::uint32_t> reasoning_tokens;
    std::optional<std::uint64_t> seed;
    std::optional<Duration> ttft;         ///< takes the request out of the batch model
    std::optional<Duration> inter_token;  ///< the same
    std::string fault;
};

struct ApiRequest {
    Api api = Api::none;
    std::string model;
    std::string_view prompt;  ///< raw JSON of what counts as prompt
    bool stream = false;
    bool has_stream_options = false;
    bool include_usage = false;
    bool continuous_usage = false;
    bool asks_continuous = false;  ///< the field is present, whatever its value
    std::optional<std::uint32_t> max_tokens;
    std::uint32_t n = 1;
    std::uint32_t inputs = 1;  ///< embedding inputs, documents
    std::string tool;          ///< name of the function that must be called; empty: none
    bool named_tool = false;   ///< the request names it, so finish_reason is "stop" in vLLM
    bool store = true;
    bool background = false;
    bool continues = false;  ///< chat: the model goes on with the final message
    std::string previous_response_id;
    std::string query_text;  ///< rerank query, tokenize prompt
    Controls controls;
};

/// Reads a JSON body (or a multipart one for transcriptions). `from_headers` are the controls that
/// the body may override.
std::expected<ApiRequest, ApiError> parse_request(Api api, std::string_view body,
                                                  Controls from_headers = {});

/// Applies one control named without its prefix ("tokens"); false if the name or the value makes no
/// sense.
bool set_control(Controls& controls, std::string_view name, std::string_view value);

/// Applies the `x-sim-*` fields; the name of the first one that makes no sense, or nothing.
std::string read_controls(Controls& controls, const HeaderField& field);

}  // namespace millrace::vllm_sim
