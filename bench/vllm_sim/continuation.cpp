#include "bench/vllm_sim/continuation.hpp"

#include <algorithm>
#include <optional>

#include "bench/vllm_sim/json_scan.hpp"
#include "bench/vllm_sim/prefix_cache.hpp"
#include "bench/vllm_sim/text.hpp"
#include "bench/vllm_sim/tokens.hpp"

namespace millrace::vllm_sim {
namespace {

constexpr std::string_view kBetween = " \t\r\n,";

/// Calls `each(begin, end)` for every element of a raw array.
template <class Each>
void for_each_element(std::string_view raw, Each each) {
    std::size_t at = raw.starts_with('[') ? 1 : raw.size();
    while ((at = raw.find_first_not_of(kBetween, at)) != std::string_view::npos && raw[at] != ']') {
        const std::size_t end = skip_value(raw, at);
        if (end == std::string_view::npos) {
            return;
        }
        each(at, end);
        at = end;
    }
}

std::string text_of_content(std::string_view content) {
    if (is_string(content)) {
        return text_of(content);
    }
    std::string text;
    for_each_element(content, [&](std::size_t begin, std::size_t end) {
        text += text_of(member_of(content.substr(begin, end - begin), "text"));
    });
    return text;
}

/// Serial number of the whole token that `text` ends with.
std::optional<std::uint32_t> last_token(std::string_view text, std::uint64_t seed) {
    if (!text.ends_with(' ')) {
        return std::nullopt;
    }
    const std::string_view word = text.substr(0, text.size() - 1);
    const std::size_t digits = word.find_last_not_of("0123456789") + 1;
    const auto serial = to_number<std::uint32_t>(word.substr(digits));
    return serial && text.ends_with(token_at(seed, *serial)) ? serial : std::nullopt;
}

}  // namespace

FinalMessage final_message_of(std::string_view messages) {
    std::size_t before = 0;  // end of the last message but one
    std::size_t begin = 0;
    std::size_t end = 0;
    for_each_element(messages, [&](std::size_t from, std::size_t to) {
        before = end;
        begin = from;
        end = to;
    });
    FinalMessage message;
    const std::string_view raw = messages.substr(begin, end - begin);
    if (text_of(member_of(raw, "role")) == "assistant") {
        message.text = text_of_content(member_of(raw, "content"));
    }
    const std::size_t comma = before == 0 ? begin : messages.find(',', before);
    message.earlier_bytes = messages.size() - (end - std::min(comma, begin));
    return message;
}

Continuation continue_after(std::string_view text, std::uint64_t seed) {
    const auto foreign = [](std::string_view part) {
        return part.empty() ? 0 : prompt_tokens_of(part);
    };
    const auto last = last_token(text, seed);
    if (!last) {
        return {0, foreign(text)};
    }
    std::uint32_t first = *last;
    std::string_view rest = text.substr(0, text.size() - token_at(seed, first).size());
    while (first > 0) {
        const std::string token = token_at(seed, first - 1);
        if (!rest.ends_with(token)) {
            break;
        }
        rest.remove_suffix(token.size());
        --first;
    }
    if (!rest.empty() && (first > 0 || last_token(rest, seed))) {
        return {0, foreign(text)};
    }
    return {*last + 1, *last + 1 - first + foreign(rest)};
}

}  // namespace millrace::vllm_sim
