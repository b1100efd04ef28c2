// Continuation: a chat stream that may outlive its backend. It keeps what the stream has said; when
// the backend dies, another one that can continue a final message is asked to go on from there
// (vLLM: `continue_final_message`), and its events are rewritten so that the client sees one
// stream: one id, one role, one count of tokens.
//
// Nothing is invented: a stream goes on only if everything said was the text of its only choice and
// its tokens were counted by the backend, and if no option of the request speaks against it (an
// output grammar that would begin anew, a forced tool, a minimum of tokens). One that has said
// nothing yet is simply asked for again. Only for streams whose model asks for it; events of the
// later backends are parsed and written anew. Thread-safety: none; one per stream. Units: bytes,
// tokens.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "gateway/openai/body_edit.hpp"
#include "gateway/openai/peek.hpp"
#include "gateway/openai/stream_facts.hpp"
#include "metrics/tokens/usage.hpp"

namespace millrace::openai {

class Continuation {
public:
    /// The request's body is kept for as long as the stream, if it is no larger.
    static constexpr std::size_t kMaxBody = std::size_t{1} << 20U;

    /// Whether a streamed chat request can be continued, as far as its known fields say.
    static bool suits(const RequestFields& fields, std::size_t body_size);

    /// What the stream has said, all attempts together; for StreamFacts::said.
    SaidText& said() { return said_; }
    const SaidText& said() const { return said_; }
    /// Nothing will be continued: frees the text.
    void give_up();
    /// The first event that carries data and an id; later ones are ignored.
    void begin(std::string_view data);

    /// Another backend could go on after these facts of the attempt that broke off.
    bool may_go_on(const StreamFacts& facts) const;
    /// The attempt broke off for good. False: the request does not allow another to go on.
    bool break_off(const StreamFacts& facts, const RequestFields& fields, std::string_view body);

    /// A stream broke off: what comes now is another's, and goes through splice().
    bool splices() const { return splices_; }
    /// It has text to go on from: the request differs, and its prompt is longer than the client's.
    bool goes_on() const { return splices_ && !said_.content.empty(); }
    /// What the next request says besides. Requires goes_on().
    void edit(BodyEdit& edit) const;
    /// The event with this data as the client gets it; empty = it does not. The view lives until
    /// drop_events().
    std::string_view splice(std::string_view data, ShowUsage show);
    void drop_events() { events_.clear(); }
    /// What a stream lacks whose backend failed when everything was said: usage, where the client
    /// gets it, and the end marker. Empty = it lacks more, or its tokens were not counted.
    std::string ending(const StreamFacts& facts, ShowUsage show) const;
    /// The tokens of all attempts, given those of the last one; nullopt = nothing is known of that.
    std::optional<metrics::Settlement> bill(const std::optional<metrics::Settlement>& last) const;

private:
    /// Where the next request differs from the client's.
    struct Plan {
        std::size_t object_start = 0;
        std::size_t messages_end = 0;        ///< before the closing bracket
        std::optional<Span> max_tokens;      ///< the value
        std::optional<Span> max_completion;  ///< of `max_completion_tokens`
        std::uint64_t tokens_left = 0;       ///< where the request bounds them
    };
    static std::optional<Plan> plan_for(std::string_view body);

    /// What all events of a stream have in common; texts as in JSON, empty where there is none.
    std::array<std::pair<const char*, const std::string*>, 3> members() const;

    SaidText said_;
    std::string id_;
    std::string created_;
    std::string model_;
    Plan plan_;
    std::optional<metrics::TokenUsage> before_;  // of the attempts that broke off
    bool splices_ = false;
    std::deque<std::string> events_;
};

}  // namespace millrace::openai
