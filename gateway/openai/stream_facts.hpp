// What a stream has shown so far, and how one part of an event is written into it. Texts from
// outside are bounded. Thread-safety: none; one per stream. Units: tokens, events.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "metrics/tokens/json_cursor.hpp"
#include "metrics/tokens/stream_error.hpp"
#include "metrics/tokens/usage.hpp"

namespace millrace::openai {

/// What the only choice of a stream has said, for whoever may have to go on from it.
struct SaidText {
    static constexpr std::size_t kMost = std::size_t{256} * 1024;

    std::string content;  ///< the inside of a JSON string
    bool is_all = true;   ///< false: it was more than kMost, or something besides that text
};

/// Everything observed of a stream so far.
struct StreamFacts {
    bool saw_content = false;   ///< a first content token was seen
    bool saw_terminal = false;  ///< [DONE], response.completed/.failed/.incomplete, message_stop
    std::uint64_t events = 0;   ///< complete events received, comments included
    std::uint64_t forwarded_events = 0;
    std::uint64_t content_events = 0;    ///< content deltas over all choices
    std::uint64_t oversized_events = 0;  ///< over 64 KiB, passed through unedited
    std::uint64_t unread_events = 0;     ///< data that was no JSON object we could read
    std::optional<metrics::TokenUsage> final_usage;
    std::unique_ptr<metrics::StreamError> error;  ///< the first error event; null = none
    std::string response_id;                      ///< at most 256 bytes
    std::string finish_reason;                    ///< the last one seen, at most 32 bytes
    std::vector<metrics::ChoiceTokens> choices;   ///< by order of appearance, at most 1024
    SaidText* said = nullptr;                     ///< where the text is kept; null = it is not
};

/// The choices that one event carried; at most this many are told apart, more is no stream we know.
struct EventChoices {
    std::array<std::uint32_t, 8> indexes{};
    std::size_t count = 0;
    bool any_finished = false;
};

/// Reads one element of `choices`, on which the cursor stands.
void read_choice(metrics::JsonCursor& cursor, EventChoices& event, StreamFacts& facts);

/// The choice's record, made at its first appearance; null when there are too many.
metrics::ChoiceTokens* choice_of(std::uint32_t index, StreamFacts& facts);

/// These take a JSON value as it stands in the event, and keep the first (id, error) or the last
/// (reason).
void keep_id(std::string_view value, StreamFacts& facts);
void keep_error(std::optional<metrics::StreamError> error, StreamFacts& facts);
void keep_finish_reason(std::string_view value, StreamFacts& facts);

/// A JSON value that says something: a non-empty string, array or object.
bool is_filled(std::string_view value);

inline bool is_json_string(std::string_view value) {
    return value.starts_with('"');
}
/// What stands between the quotes or brackets.
inline std::string_view inner_text(std::string_view value) {
    return value.substr(1, value.size() - 2);
}

}  // namespace millrace::openai
