// Reads the data of one complete stream event, in each dialect: updates the facts of the stream and
// says where `usage` stands, so that the filter can hide it. Reads with a cursor over the event's
// own bytes; allocates only when a stream shows something for the first time (its id, a choice, an
// error). Thread-safety: none; one per stream. Units: bytes, tokens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "gateway/openai/stream_facts.hpp"
#include "metrics/tokens/json_cursor.hpp"
#include "metrics/tokens/json_text.hpp"
#include "metrics/tokens/stream_error.hpp"
#include "metrics/tokens/usage.hpp"

namespace millrace::openai {

/// What the filter must know of an event's data.
struct EventShape {
    enum class Usage : std::uint8_t { absent, null, object, other };

    bool is_readable = false;  ///< one JSON object
    bool is_error = false;
    bool choices_empty = false;  ///< `choices` is `[]`
    Usage usage = Usage::absent;
    metrics::Span usage_value;  ///< inside the data
    metrics::Span usage_cut;    ///< the member with one adjoining comma
};

class EventReader {
public:
    explicit EventReader(metrics::Dialect dialect) : dialect_(dialect) {}

    /// `name` is the value of the `event:` field, empty if there was none.
    EventShape read(std::string_view name, std::string_view data, StreamFacts& facts);
    /// `[DONE]`, or the body ended cleanly: what was only probably final is final.
    void end(StreamFacts& facts);
    /// An event too large to be read as a whole, by its name and by what was found while it passed.
    void read_oversized(std::string_view name, const std::optional<metrics::TokenUsage>& usage,
                        const std::optional<metrics::StreamError>& error, const std::string& id,
                        StreamFacts& facts);

private:
    struct ChoicesEvent;
    struct TypedEvent;

    EventShape read_choices_event(std::string_view data, StreamFacts& facts);
    EventShape read_typed_event(std::string_view data, StreamFacts& facts);
    bool resume(metrics::JsonCursor& cursor, std::string_view data, std::string_view& key) const;
    void remember(const metrics::JsonCursor& cursor, std::string_view prefix);
    void take_usage(const ChoicesEvent& event, StreamFacts& facts);
    void take_typed(TypedEvent& event, std::string_view data, EventShape& shape,
                    StreamFacts& facts);
    void on_type(std::string_view type, StreamFacts& facts);
    void on_usage(const metrics::TokenUsage& usage, std::string_view type, StreamFacts& facts);

    metrics::Dialect dialect_;
    /// Chat: usage beside the finish_reason of the only choice; final if nothing better follows
    /// (backends that send no `choices: []` event). Messages: the prompt's half, from
    /// message_start.
    std::optional<metrics::TokenUsage> pending_usage_;
    std::string prefix_;  // the last event's bytes before its choices
    std::size_t prefix_key_ = 0;
    std::size_t prefix_comma_ = 0;
};

}  // namespace millrace::openai
