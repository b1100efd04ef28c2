// Finds where server-sent events end (WHATWG HTML §9.2): a blank line, lines ending in LF, CRLF or
// CR, mixed as they like; and reads the fields of one complete event. Works over pieces cut
// anywhere and copies nothing.
//
// An event that ends in CR is complete at the CR; if LF follows, it still belongs to that event
// (take_line_feed), so that no event ever waits for the byte after it. Thread-safety: none; one per
// stream. Units: bytes.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "metrics/tokens/json_text.hpp"

namespace millrace::metrics {

class SseScanner {
public:
    static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

    /// Offset just past the first event end in `bytes`, kNone if there is none. On a hit only the
    /// bytes up to it are consumed; call again with the rest.
    std::size_t find_end(std::string_view bytes);

    /// True if `bytes` begins with the LF of a CRLF whose CR ended the previous event; the LF is
    /// then consumed and must share that event's fate.
    bool take_line_feed(std::string_view bytes);

    /// Non-empty lines of the event that find_end found last: 0 is a lone blank line, 1 needs no
    /// search for its lines.
    std::size_t lines() const { return lines_; }

private:
    bool line_empty_ = true;   // nothing on the current line so far
    bool after_cr_ = false;    // the last byte was CR: an LF belongs to it
    bool event_ended_ = true;  // lines_ belongs to an event that is over
    std::size_t lines_ = 0;
};

/// The fields of one event (terminator included or not).
struct SseFields {
    std::string_view event;  ///< value of the last `event:` field
    Span data;               ///< value of the first `data:` line, inside the event
    std::size_t data_lines = 0;
};

/// `first`: this is the stream's first event, whose byte order mark is skipped.
SseFields read_sse_fields(std::string_view event, bool first);

/// The same for an event that is one line and its blank line.
SseFields read_single_line(std::string_view event, bool first);

/// For events with several `data:` lines: their values' spans inside the event, in order.
std::vector<Span> data_lines_of(std::string_view event, bool first);

}  // namespace millrace::metrics
