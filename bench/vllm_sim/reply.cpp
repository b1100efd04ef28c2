#include "bench/vllm_sim/reply.hpp"

#include <algorithm>

#include "bench/vllm_sim/text.hpp"

namespace millrace::vllm_sim {
namespace {

/// Cuts what reaches beyond the exact length; `begin` is the offset of `text` in the whole
/// sequence.
std::string_view cut(const Reply& reply, std::size_t begin, std::string_view text) {
    if (!reply.text_bytes) {
        return text;
    }
    const std::size_t left = *reply.text_bytes - std::min<std::size_t>(begin, *reply.text_bytes);
    return text.substr(0, std::min(left, text.size()));
}

}  // namespace

std::string_view piece(const Reply& reply, Texts& texts, std::uint32_t choice,
                       std::uint32_t index) {
    if (index >= reply.tokens) {
        return {};
    }
    TokenText& text = texts.of(reply.seed + choice);
    const std::uint32_t at = reply.begin + index;
    const std::size_t begin = reply.text_bytes ? text.range(0, at).size() : 0;
    return cut(reply, begin, text.range(at, 1));
}

std::string_view text_from(const Reply& reply, Texts& texts, std::uint32_t choice,
                           std::uint32_t first) {
    TokenText& text = texts.of(reply.seed + choice);
    const std::uint32_t at = reply.begin + first;
    const std::size_t begin = reply.text_bytes ? text.range(0, at).size() : 0;
    return cut(reply, begin, text.range(at, reply.tokens - std::min(first, reply.tokens)));
}

std::uint32_t prompt_share(const Reply& reply, std::uint32_t choice) {
    const std::uint32_t prompt = choice / std::max(1U, reply.choices / reply.prompts);
    const std::uint32_t share = reply.prompt_tokens / reply.prompts;
    return prompt == 0 ? share + reply.prompt_tokens % reply.prompts : share;
}

void append_usage(std::string& out, const Reply& reply) {
    append(out, R"({"prompt_tokens":)", reply.prompt_tokens, R"(,"total_tokens":)",
           reply.prompt_tokens + reply.completion_tokens(), R"(,"completion_tokens":)",
           reply.completion_tokens());
    if (reply.prompt_details) {
        append(out, R"(,"prompt_tokens_details":{"cached_tokens":)", reply.cached_tokens, "}");
    } else if (!reply.stream) {
        append(out, R"(,"prompt_tokens_details":null)");  // final stream chunks leave nulls out
    }
    append(out, R"(,"completion_tokens_details":{"reasoning_tokens":)",
           reply.reasoning_tokens * reply.choices, "}}");
}

}  // namespace millrace::vllm_sim
