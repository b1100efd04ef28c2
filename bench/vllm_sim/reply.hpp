// One planned answer: everything that a dialect needs to render it, whole or event by event. Pure;
// plain values. Also the pieces that all dialects share: the text of a token (cut to an exact
// length if asked), usage objects.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "bench/vllm_sim/request.hpp"
#include "bench/vllm_sim/tokens.hpp"

namespace millrace::vllm_sim {

struct Reply {
    Api api = Api::chat;
    std::string id;            ///< without quotes; the responses API's own id for Api::responses
    std::string id_json;       ///< quoted and escaped
    std::string model_json;    ///< quoted and escaped
    std::int64_t created = 0;  ///< Unix seconds
    std::uint32_t prompt_tokens = 1;
    std::uint32_t cached_tokens = 0;
    std::uint32_t tokens = 0;            ///< output tokens per choice; 0: nothing is left to add
    std::uint32_t begin = 0;             ///< index of the first one, of a continued answer
    std::uint32_t reasoning_tokens = 0;  ///< the first ones of `tokens`
    std::uint32_t choices = 1;           ///< n times the number of prompts
    std::uint32_t prompts = 1;
    std::uint64_t seed = 1;
    std::optional<std::uint32_t>
        text_bytes;  ///< the last token is cut so that the text has this length
    bool stream = false;
    bool include_usage = false;
    bool continuous_usage = false;
    bool null_usage = false;     ///< `"usage":null` placeholders, as older vLLM in completions
    bool prompt_details = true;  ///< --enable-prompt-tokens-details
    bool length = false;         ///< ended by max_tokens
    std::string tool;
    bool named_tool = false;
    bool store = false;
    std::string previous_response_id;
    std::string chunk_head;  ///< beginning of every event, filled by Dialect::begin

    std::uint32_t completion_tokens() const { return tokens * choices; }
    /// Events per choice: an answer without tokens still says that it is finished.
    std::uint32_t steps() const { return std::max(1U, tokens); }
    bool is_last(std::uint32_t index) const { return index + 1 >= tokens; }
};

/// Text of token `index` of a choice.
std::string_view piece(const Reply& reply, Texts& texts, std::uint32_t choice, std::uint32_t index);

/// Text of tokens [first, tokens) of a choice.
std::string_view text_from(const Reply& reply, Texts& texts, std::uint32_t choice,
                           std::uint32_t first);

/// Prompt tokens that belong to a choice: its own prompt's share of the sum.
std::uint32_t prompt_share(const Reply& reply, std::uint32_t choice);

/// `{"prompt_tokens":..,"total_tokens":..,"completion_tokens":..,...details}` with the totals of
/// all choices.
void append_usage(std::string& out, const Reply& reply);

/// Opening and closing of a tool call's arguments, escaped for use inside a JSON string.
inline constexpr std::string_view kArgumentsOpen = "{\\\"text\\\": \\\"";
inline constexpr std::string_view kArgumentsClose = "\\\"}";

}  // namespace millrace::vllm_sim
