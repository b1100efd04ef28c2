// The relay's view of a streamed answer: reads each complete server-sent event, hides the usage
// that the gateway asked for and the client did not (SEMANTICS: "Usage in streams"), and keeps the
// facts that settlement needs.
//
// Each forwarded event is the backend's event minus cut spans, never re-encoded. Incomplete events
// are held up to 64 KiB; a larger one passes through unedited and is counted. Nothing is allocated
// for events while every piece ends at an event boundary. Thread-safety: none; one per attempt.
// Units: bytes, tokens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/openai/continuation.hpp"
#include "gateway/openai/event_reader.hpp"
#include "gateway/openai/peek.hpp"
#include "metrics/tokens/response_usage.hpp"
#include "metrics/tokens/sse.hpp"
#include "metrics/tokens/usage.hpp"

namespace millrace::openai {

/// What is known of the first event that carries data.
enum class FirstEvent : std::uint8_t { pending, normal, error };

class StreamFilter {
public:
    static constexpr std::size_t kMaxHeldEvent = std::size_t{64} * 1024;

    /// `show` = everything forwards all events untouched (also right when nothing was injected).
    StreamFilter(metrics::Dialect dialect, ShowUsage show);
    ~StreamFilter();
    StreamFilter(StreamFilter&&) noexcept;
    StreamFilter& operator=(StreamFilter&&) noexcept;

    /// The stream may be continued, or continues one: what it says is kept there, and in the second
    /// case spliced by it. Before the first feed(); `continuation` must outlive the filter.
    void join(Continuation& continuation);

    /// Takes the next piece of the decoded body and appends what to forward. The views point into
    /// `piece`, into this object or to static text, and are valid until the next call.
    void feed(std::string_view piece, std::vector<std::string_view>& out);

    /// The body ended. `clean`: as its framing said, so a last event without its blank line is
    /// still processed; otherwise only if it is the end marker, and anything else that is held is
    /// dropped, which cuts the stream at an event boundary.
    void finish(bool clean, std::vector<std::string_view>& out);

    const StreamFacts& facts() const { return facts_; }
    /// Looked at before the head is sent: an error here becomes a real status (see facts().error).
    /// Comments leave it pending.
    FirstEvent first_event() const { return first_; }
    /// Forwarding stopped inside an oversized event, so an error event of ours would be glued to
    /// its bytes.
    bool is_inside_event() const { return passing_; }
    /// An error of the backend's came in mid-stream and another one may go on: the error and what
    /// follows it are not forwarded.
    bool interrupted() const { return interrupted_; }
    /// See Continuation::ending(); empty for streams that have none.
    std::string ending() const {
        return continuation_ != nullptr && !passing_ ? continuation_->ending(facts_, show_)
                                                     : std::string();
    }
    /// Input for settle(); it borrows facts().choices.
    metrics::ObservedTokens observed(std::uint32_t choices_per_prompt,
                                     std::uint64_t prompt_estimate) const;

private:
    class Output;
    struct Passing;

    void on_event(std::string_view event, std::size_t lines, Output& out);
    void on_data(std::string_view event, const metrics::SseFields& fields, Output& out);
    bool is_end(std::string_view event) const;
    bool is_taken_over(const EventShape& shape, std::string_view data, Output& out);
    void on_split_data(std::string_view event, const metrics::SseFields& fields, Output& out);
    EventShape read(std::string_view name, std::string_view data);
    void hold(std::string_view rest, Output& out);
    void begin_passing(std::string_view prefix, Output& out);
    void pass(std::string_view bytes, Output& out);
    void end_passing();

    metrics::Dialect dialect_;
    ShowUsage show_;
    FirstEvent first_ = FirstEvent::pending;
    bool null_placeholder_ = false;  // the backend writes "usage":null where it has none
    bool dropped_last_ = false;  // the last event was dropped: so is an LF that still belongs to it
    bool passing_ = false;       // inside an oversized event
    bool interrupted_ = false;
    Continuation* continuation_ = nullptr;  // null for nearly all streams
    metrics::SseScanner scanner_;
    EventReader reader_;
    std::string carry_;  // the incomplete event
    std::string held_;   // the event completed from carry_, while its views are out
    std::unique_ptr<Passing> oversized_;
    StreamFacts facts_;
};

}  // namespace millrace::openai
