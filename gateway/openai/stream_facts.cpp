#include "gateway/openai/stream_facts.hpp"

#include <utility>

#include "metrics/tokens/json_text.hpp"

namespace millrace::openai {
namespace {

using metrics::ChoiceTokens;
using metrics::JsonCursor;

constexpr std::size_t kMaxId = 256;
constexpr std::size_t kMaxFinishReason = 32;
constexpr std::size_t kMaxChoices = 1024;

/// The members of a delta that are output tokens. `role` and vendors' annotations are not.
bool is_content_key(std::string_view key) {
    switch (key.size()) {
        case 4: return key == "text";
        case 5: return key == "audio";
        case 7: return key == "content" || key == "refusal";
        case 9: return key == "reasoning";
        case 10: return key == "tool_calls";
        case 13: return key == "function_call";
        case 15: return key == "thinking_blocks";
        case 17: return key == "reasoning_content";
        default: return false;
    }
}

/// A filled member of a delta, kept for a stream that may have to go on elsewhere.
void keep_said(std::string_view key, std::string_view value, SaidText& said) {
    if (key == "content" && is_json_string(value) &&
        said.content.size() + value.size() <= SaidText::kMost) {
        said.content += inner_text(value);
    } else {
        said.is_all = false;
    }
}

bool has_content(JsonCursor& cursor, SaidText* said) {
    if (!cursor.begin_object()) {
        cursor.skip_value();
        return false;
    }
    bool found = false;
    std::string_view key;
    while (cursor.next_member(key)) {
        const std::string_view value = cursor.skip_value();
        if (is_content_key(key) && is_filled(value)) {
            found = true;
            if (said != nullptr) {
                keep_said(key, value, *said);
            }
        }
    }
    return found;
}

}  // namespace

bool is_filled(std::string_view value) {
    switch (value.empty() ? '\0' : value.front()) {
        case '"': return value.size() > 2;
        case '[':
        case '{': return inner_text(value).find_first_not_of(" \t\r\n") != std::string_view::npos;
        default: return false;
    }
}

ChoiceTokens* choice_of(std::uint32_t index, StreamFacts& facts) {
    for (ChoiceTokens& choice : facts.choices) {
        if (choice.index == index) {
            return &choice;
        }
    }
    if (facts.choices.size() == kMaxChoices) {
        return nullptr;
    }
    facts.choices.emplace_back().index = index;
    return &facts.choices.back();
}

void keep_id(std::string_view value, StreamFacts& facts) {
    if (facts.response_id.empty() && is_json_string(value) && value.size() <= kMaxId + 2) {
        facts.response_id = metrics::json_unescape(inner_text(value)).value_or(std::string{});
    }
}

void keep_error(std::optional<metrics::StreamError> error, StreamFacts& facts) {
    if (error && !facts.error) {
        facts.error = std::make_unique<metrics::StreamError>(std::move(*error));
    }
}

void keep_finish_reason(std::string_view value, StreamFacts& facts) {
    if (is_json_string(value) && inner_text(value) != facts.finish_reason) {
        facts.finish_reason = inner_text(value).substr(0, kMaxFinishReason);
    }
}

void read_choice(JsonCursor& cursor, EventChoices& event, StreamFacts& facts) {
    if (!cursor.begin_object()) {
        cursor.skip_value();
        return;
    }
    std::uint32_t index = 0;
    bool content = false;
    bool finished = false;
    std::string_view key;
    while (cursor.next_member(key)) {
        if (key == "delta") {
            content = has_content(cursor, facts.said) || content;
            continue;
        }
        const std::string_view value = cursor.skip_value();
        if (key == "index") {
            index = static_cast<std::uint32_t>(metrics::json_uint(value).value_or(0));
        } else if (key == "finish_reason" && is_json_string(value)) {
            finished = true;
            keep_finish_reason(value, facts);
        } else if (key == "text") {
            content = is_filled(value) || content;
        }
    }
    if (cursor.failed()) {
        return;
    }
    if (ChoiceTokens* choice = choice_of(index, facts)) {
        choice->deltas += content ? 1 : 0;
        choice->finished = choice->finished || finished;
    }
    if (facts.said != nullptr && index != 0) {
        facts.said->is_all = false;
    }
    facts.content_events += content ? 1 : 0;
    facts.saw_content = facts.saw_content || content;
    event.any_finished = event.any_finished || finished;
    if (event.count < event.indexes.size()) {
        event.indexes[event.count++] = index;
    }
}

}  // namespace millrace::openai
