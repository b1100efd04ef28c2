// Token counts as backends report them, and the rules that turn what was seen of a response into
// what is owed.
//
// Counts are optional because zero is a count and absence is not (a request with {0,0} costs
// nothing; one without usage is estimated). `prompt` includes cached and cache-written tokens in
// every dialect (Anthropic reports them apart; they are added here), and `completion` includes
// reasoning; price_classes() splits both into disjoint classes, so that nothing can be billed
// twice. Thread-safety: pure values and functions. Units: tokens.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace millrace::metrics {

/// How a response is written; embeddings, scores and the like use `chat`'s usage object.
enum class Dialect : std::uint8_t { chat, completions, responses, messages };

struct TokenUsage {
    std::optional<std::uint64_t> prompt;      ///< all input tokens
    std::optional<std::uint64_t> cached;      ///< of prompt: read from a cache
    std::optional<std::uint64_t> completion;  ///< all output tokens
    std::optional<std::uint64_t> reasoning;   ///< of completion: not shown to the user
    std::optional<std::uint64_t>
        cache_write;  ///< of prompt: written to a cache (Anthropic, newer OpenAI)

    bool any() const { return prompt || completion; }
    bool operator==(const TokenUsage&) const = default;
};

/// Reads a `usage` object. Unknown members are skipped, values that are not whole numbers count as
/// absent. nullopt if the text is not an object.
std::optional<TokenUsage> parse_usage(std::string_view json, Dialect dialect);

/// The same at a cursor that stands on an object, which is consumed.
class JsonCursor;
std::optional<TokenUsage> read_usage(JsonCursor& cursor, Dialect dialect);

/// Later counts win where they are present (Messages sends the prompt first and the completion
/// last).
void merge_usage(TokenUsage& into, const TokenUsage& later);

/// Disjoint by construction: their sum is prompt + completion.
struct PriceClasses {
    std::uint64_t uncached_prompt = 0;
    std::uint64_t cached_prompt = 0;
    std::uint64_t cache_write = 0;
    std::uint64_t visible_completion = 0;
    std::uint64_t reasoning = 0;

    bool operator==(const PriceClasses&) const = default;
};

/// Parts larger than their whole (a backend's bug) are cut to it.
PriceClasses price_classes(const TokenUsage& usage);

/// What a stream showed of one choice.
struct ChoiceTokens {
    std::uint32_t index = 0;
    bool finished = false;                    ///< a finish_reason was seen
    std::uint64_t deltas = 0;                 ///< events with content
    std::optional<std::uint64_t> prompt;      ///< from the last continuous usage
    std::optional<std::uint64_t> completion;  ///< from the last continuous usage
};

/// Everything that settlement may know of one attempt.
struct ObservedTokens {
    std::optional<TokenUsage> final_usage;
    std::span<const ChoiceTokens> choices;
    std::uint32_t choices_per_prompt = 1;  ///< the request's `n`
    std::uint64_t prompt_estimate = 0;  ///< learned from sizes; used when nothing better was seen
};

enum class Exactness : std::uint8_t { exact, partial, estimated };

struct Settlement {
    Exactness exactness = Exactness::estimated;
    TokenUsage tokens;  ///< prompt and completion always have a value
};

/// exact: the final usage. partial: per choice the last continuous count (deltas where a choice had
/// none), prompt tokens summed over prompts, cached tokens unknown. estimated: deltas and the
/// estimate.
Settlement settle(const ObservedTokens& observed);

std::string_view to_string(Exactness exactness);
std::string_view to_string(Dialect dialect);

}  // namespace millrace::metrics
