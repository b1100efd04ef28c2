#include "gateway/openai/event_reader.hpp"

#include <utility>

#include "metrics/tokens/json_cursor.hpp"

namespace millrace::openai {
namespace {

using metrics::ChoiceTokens;
using metrics::Dialect;
using metrics::JsonCursor;
using metrics::Span;
using metrics::TokenUsage;

/// Messages: the reason stands in `delta` of message_delta.
void keep_stop_reason(std::string_view key, std::string_view value, StreamFacts& facts) {
    if (key == "stop_reason") {
        keep_finish_reason(value, facts);
    }
}

EventShape::Usage kind_of_usage(std::string_view value) {
    return value == "null" ? EventShape::Usage::null : EventShape::Usage::other;
}

}  // namespace

EventShape EventReader::read(std::string_view name, std::string_view data, StreamFacts& facts) {
    const bool by_choices = dialect_ == Dialect::chat || dialect_ == Dialect::completions;
    EventShape shape = by_choices ? read_choices_event(data, facts) : read_typed_event(data, facts);
    if (name == "error" && !shape.is_error) {
        shape.is_error = true;
        auto error = metrics::parse_stream_error(data);
        keep_error(error ? std::move(error) : std::optional<metrics::StreamError>{std::in_place},
                   facts);
    }
    facts.unread_events += shape.is_readable ? 0 : 1;
    return shape;
}

/// A chat or completions event while its members are read.
struct EventReader::ChoicesEvent {
    EventShape shape;
    EventChoices choices;
    std::optional<TokenUsage> usage;
    bool has_choices = false;
    bool cut_following_comma = false;  // usage came first: the comma after it goes with it
    bool is_plain = true;              // the members so far say nothing new, and are not remembered
};

/// All events of a stream begin alike, up to their choices. A reader that has read a prefix once is
/// in the same state after the same bytes, so it may start there.
bool EventReader::resume(JsonCursor& cursor, std::string_view data, std::string_view& key) const {
    if (prefix_.empty() || !data.starts_with(prefix_)) {
        return false;
    }
    cursor.resume(prefix_.size(), prefix_key_, prefix_comma_);
    key = "choices";
    return true;
}

void EventReader::remember(const JsonCursor& cursor, std::string_view prefix) {
    constexpr std::size_t kLongest = 512;
    if (prefix.size() <= kLongest) {
        prefix_ = prefix;
        prefix_key_ = cursor.key_offset();
        prefix_comma_ = cursor.comma_offset();
    }
}

// NOLINTNEXTLINE(readability-function-cognitive-complexity): one loop over keys
EventShape EventReader::read_choices_event(std::string_view data, StreamFacts& facts) {
    ChoicesEvent event;
    JsonCursor cursor(data);
    if (!cursor.begin_object()) {
        return event.shape;
    }
    std::string_view key;
    bool on_value = resume(cursor, data, key);
    event.is_plain = !on_value;
    while (on_value || cursor.next_member(key)) {
        on_value = false;
        if (event.cut_following_comma) {
            Span& cut = event.shape.usage_cut;
            cut.length = cursor.comma_offset() + 1 - cut.offset;
            event.cut_following_comma = false;
        }
        const std::size_t at = cursor.offset();
        if (key == "choices" && cursor.begin_array()) {
            if (event.is_plain) {
                remember(cursor, data.substr(0, at));
            }
            event.has_choices = true;
            event.shape.choices_empty = true;
            while (cursor.next_element()) {
                event.shape.choices_empty = false;
                read_choice(cursor, event.choices, facts);
            }
        } else if (key == "usage") {
            event.is_plain = false;
            const std::size_t comma = cursor.comma_offset();
            event.cut_following_comma = comma == JsonCursor::kNone;
            const std::size_t from = event.cut_following_comma ? cursor.key_offset() : comma;
            event.usage = metrics::read_usage(cursor, dialect_);
            if (!event.usage) {
                event.shape.usage = kind_of_usage(cursor.skip_value());
            } else {
                event.shape.usage = EventShape::Usage::object;
            }
            event.shape.usage_value = Span{at, cursor.offset() - at};
            event.shape.usage_cut = Span{from, event.shape.usage_value.end() - from};
        } else {
            const std::string_view value = cursor.skip_value();
            if (key == "id") {
                keep_id(value, facts);
            } else if (key == "error" && is_filled(value)) {
                keep_error(metrics::parse_stream_error(value), facts);
                event.shape.is_error = true;
                event.is_plain = false;
            } else if (key == "object" && value == "\"error\"") {
                // Old vLLM: the error's members at the top level.
                keep_error(metrics::parse_stream_error(data), facts);
                event.shape.is_error = true;
                event.is_plain = false;
            }
        }
    }
    event.shape.is_readable = cursor.at_end();
    if (event.shape.is_readable && event.usage) {
        take_usage(event, facts);
    }
    return event.shape;
}

void EventReader::take_usage(const ChoicesEvent& event, StreamFacts& facts) {
    const auto& usage = event.usage;
    if (event.has_choices && event.shape.choices_empty) {
        facts.final_usage = usage;
    }
    for (std::size_t i = 0; i < event.choices.count; ++i) {
        if (ChoiceTokens* choice = choice_of(event.choices.indexes[i], facts)) {
            choice->prompt = usage->prompt ? usage->prompt : choice->prompt;
            choice->completion = usage->completion ? usage->completion : choice->completion;
        }
    }
    if (event.choices.any_finished && facts.choices.size() == 1) {
        pending_usage_ = usage;
    }
}

/// A Responses or Messages event while its members are read. The wrapper's members (`response`,
/// `message`) are read like the top level's own: usage, error and id mean the same in both.
struct EventReader::TypedEvent {
    std::string_view type;
    std::optional<TokenUsage> usage;
    std::optional<metrics::StreamError> error;

    void on_member(Dialect dialect, std::string_view key, std::string_view value) {
        if (key == "usage" && value.starts_with('{')) {
            usage = metrics::parse_usage(value, dialect);
        } else if (key == "error" && is_filled(value)) {
            error = metrics::parse_stream_error(value);
        }
    }
};

EventShape EventReader::read_typed_event(std::string_view data, StreamFacts& facts) {
    EventShape shape;
    TypedEvent event;
    JsonCursor cursor(data);
    if (!cursor.begin_object()) {
        return shape;
    }
    const std::string_view wrapper = dialect_ == Dialect::responses ? "response" : "message";
    std::string_view key;
    std::string_view member;
    while (cursor.next_member(key)) {
        const bool is_wrapper = key == wrapper;
        if ((is_wrapper || key == "delta") && cursor.begin_object()) {
            while (cursor.next_member(member)) {
                const std::string_view value = cursor.skip_value();
                if (!is_wrapper) {
                    keep_stop_reason(member, value, facts);
                    continue;
                }
                event.on_member(dialect_, member, value);
                if (member == "id") {
                    keep_id(value, facts);
                }
            }
            continue;
        }
        const std::string_view value = cursor.skip_value();
        if (key == "type" && is_json_string(value)) {
            event.type = inner_text(value);
        } else {
            event.on_member(dialect_, key, value);
        }
    }
    shape.is_readable = cursor.at_end();
    if (shape.is_readable) {
        take_typed(event, data, shape, facts);
    }
    return shape;
}

void EventReader::take_typed(TypedEvent& event, std::string_view data, EventShape& shape,
                             StreamFacts& facts) {
    shape.is_error =
        event.error.has_value() || event.type == "error" || event.type == "response.failed";
    if (shape.is_error) {
        // A Responses `error` event carries its code and message at the top level.
        keep_error(event.error ? std::move(event.error) : metrics::parse_stream_error(data), facts);
    }
    on_type(event.type, facts);
    if (event.usage) {
        on_usage(*event.usage, event.type, facts);
    }
}

void EventReader::on_type(std::string_view type, StreamFacts& facts) {
    const bool content =
        dialect_ == Dialect::responses ? type.ends_with(".delta") : type == "content_block_delta";
    if (content) {
        facts.saw_content = true;
        ++facts.content_events;
        if (ChoiceTokens* choice = choice_of(0, facts)) {
            ++choice->deltas;
        }
    }
    if (type == "response.completed" || type == "response.failed" ||
        type == "response.incomplete" || type == "message_stop") {
        facts.saw_terminal = true;
        if (dialect_ == Dialect::responses) {
            facts.finish_reason = type.substr(type.find('.') + 1);
        }
    }
}

void EventReader::on_usage(const TokenUsage& usage, std::string_view type, StreamFacts& facts) {
    if (dialect_ == Dialect::messages && type == "message_start") {
        pending_usage_ = usage;
        if (ChoiceTokens* choice = choice_of(0, facts)) {
            choice->prompt = usage.prompt;
        }
        return;
    }
    if (dialect_ == Dialect::messages && type == "message_delta") {
        TokenUsage merged = pending_usage_.value_or(TokenUsage{});
        metrics::merge_usage(merged, usage);
        facts.final_usage = merged;
    } else if (facts.saw_terminal) {
        facts.final_usage = usage;
    }
}

void EventReader::end(StreamFacts& facts) {
    const bool by_choices = dialect_ == Dialect::chat || dialect_ == Dialect::completions;
    if (by_choices && !facts.final_usage && pending_usage_ && facts.choices.size() == 1) {
        facts.final_usage = pending_usage_;
    }
}

void EventReader::read_oversized(std::string_view name, const std::optional<TokenUsage>& usage,
                                 const std::optional<metrics::StreamError>& error,
                                 const std::string& id, StreamFacts& facts) {
    if (dialect_ == Dialect::chat || dialect_ == Dialect::completions) {
        facts.saw_content = true;
        ++facts.content_events;
    } else {
        on_type(name, facts);
        if (usage) {
            on_usage(*usage, name, facts);
        }
        if (facts.response_id.empty()) {
            facts.response_id = id;
        }
    }
    keep_error(error, facts);
}

}  // namespace millrace::openai
