#include "metrics/tokens/usage.hpp"

#include <algorithm>
#include <map>

#include "metrics/tokens/json_cursor.hpp"
#include "metrics/tokens/json_text.hpp"

namespace millrace::metrics {
namespace {

/// `prompt_tokens_details` and its kin; the values are parts of the prompt or of the completion.
void read_details(std::string_view json, TokenUsage& usage) {
    JsonCursor cursor(json);
    if (!cursor.begin_object()) {
        return;
    }
    std::string_view key;
    while (cursor.next_member(key)) {
        const std::string_view value = cursor.skip_value();
        if (key == "cached_tokens") {
            usage.cached = json_uint(value);
        } else if (key == "reasoning_tokens") {
            usage.reasoning = json_uint(value);
        } else if (key == "cache_write_tokens" || key == "created_cache_tokens") {
            usage.cache_write = json_uint(value);
        }
    }
}

void read_member(std::string_view key, std::string_view value, TokenUsage& usage) {
    switch (key.size()) {
        case 12:
            if (key == "input_tokens") {
                usage.prompt = json_uint(value);
            }
            return;
        case 13:
            if (key == "prompt_tokens") {
                usage.prompt = json_uint(value);
            } else if (key == "output_tokens") {
                usage.completion = json_uint(value);
            }
            return;
        case 17:
            if (key == "completion_tokens") {
                usage.completion = json_uint(value);
            }
            return;
        default: break;
    }
    if (key == "cache_read_input_tokens") {
        usage.cached = json_uint(value);
    } else if (key == "cache_creation_input_tokens") {
        usage.cache_write = json_uint(value);
    } else if (key.ends_with("_details")) {
        read_details(value, usage);
    }
}

/// Prompt tokens summed over prompts: the choices of one prompt all carry the prompt's count.
std::optional<std::uint64_t> prompt_of(std::span<const ChoiceTokens> choices,
                                       std::uint32_t per_prompt) {
    const std::uint32_t width = std::max<std::uint32_t>(per_prompt, 1);
    std::optional<std::uint64_t> total;
    if (width >= choices.size() && std::ranges::all_of(choices, [&](const ChoiceTokens& choice) {
            return choice.index < width;
        })) {
        // The common case, one prompt, without a table.
        for (const ChoiceTokens& choice : choices) {
            total = choice.prompt ? std::max(total.value_or(0), *choice.prompt) : total;
        }
        return total;
    }
    std::map<std::uint32_t, std::uint64_t> prompts;
    for (const ChoiceTokens& choice : choices) {
        if (choice.prompt) {
            prompts[choice.index / width] = *choice.prompt;
        }
    }
    for (const auto& [prompt, tokens] : prompts) {
        total = total.value_or(0) + tokens;
    }
    return total;
}

}  // namespace

std::optional<TokenUsage> parse_usage(std::string_view json, Dialect dialect) {
    JsonCursor cursor(json);
    return read_usage(cursor, dialect);
}

std::optional<TokenUsage> read_usage(JsonCursor& cursor, Dialect dialect) {
    std::optional<TokenUsage> result;
    if (!cursor.begin_object()) {
        return result;
    }
    TokenUsage& usage = result.emplace();
    std::string_view key;
    while (cursor.next_member(key)) {
        read_member(key, cursor.skip_value(), usage);
    }
    if (cursor.failed()) {
        result.reset();
    } else if (dialect == Dialect::messages && usage.prompt) {
        // Anthropic's input_tokens leaves out what was read from or written to the cache.
        usage.prompt = *usage.prompt + usage.cached.value_or(0) + usage.cache_write.value_or(0);
    }
    return result;
}

void merge_usage(TokenUsage& into, const TokenUsage& later) {
    const auto take = [](std::optional<std::uint64_t>& old,
                         const std::optional<std::uint64_t>& value) {
        if (value) {
            old = value;
        }
    };
    take(into.prompt, later.prompt);
    take(into.cached, later.cached);
    take(into.completion, later.completion);
    take(into.reasoning, later.reasoning);
    take(into.cache_write, later.cache_write);
}

PriceClasses price_classes(const TokenUsage& usage) {
    PriceClasses classes;
    const std::uint64_t prompt = usage.prompt.value_or(0);
    const std::uint64_t completion = usage.completion.value_or(0);
    classes.cached_prompt = std::min(usage.cached.value_or(0), prompt);
    classes.cache_write = std::min(usage.cache_write.value_or(0), prompt - classes.cached_prompt);
    classes.uncached_prompt = prompt - classes.cached_prompt - classes.cache_write;
    classes.reasoning = std::min(usage.reasoning.value_or(0), completion);
    classes.visible_completion = completion - classes.reasoning;
    return classes;
}

Settlement settle(const ObservedTokens& observed) {
    Settlement result;
    if (observed.final_usage && observed.final_usage->any()) {
        result.exactness = Exactness::exact;
        result.tokens = *observed.final_usage;
        result.tokens.prompt = result.tokens.prompt.value_or(0);
        result.tokens.completion = result.tokens.completion.value_or(0);
        return result;
    }
    std::uint64_t completion = 0;
    bool counted = false;
    for (const ChoiceTokens& choice : observed.choices) {
        counted = counted || choice.completion.has_value();
        completion += choice.completion.value_or(choice.deltas);
    }
    const auto prompt = prompt_of(observed.choices, observed.choices_per_prompt);
    result.exactness = counted ? Exactness::partial : Exactness::estimated;
    result.tokens.completion = completion;
    result.tokens.prompt = prompt.value_or(observed.prompt_estimate);
    return result;
}

std::string_view to_string(Exactness exactness) {
    switch (exactness) {
        case Exactness::exact: return "exact";
        case Exactness::partial: return "partial";
        case Exactness::estimated: return "estimated";
    }
    return "estimated";
}

std::string_view to_string(Dialect dialect) {
    switch (dialect) {
        case Dialect::chat: return "chat";
        case Dialect::completions: return "completions";
        case Dialect::responses: return "responses";
        case Dialect::messages: return "messages";
    }
    return "chat";
}

}  // namespace millrace::metrics
