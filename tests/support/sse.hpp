// Server-sent events as the official SDKs read them: lines end in LF, CR or CRLF, data lines join
// by LF, comments are skipped, an unfinished last event is dropped. Thread-safety: plain values.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace millrace::test {

struct SseEvent {
    std::string event;  ///< empty = message
    std::string data;
    bool done() const { return data.starts_with("[DONE]"); }
    nlohmann::json json() const { return nlohmann::json::parse(data, nullptr, false); }
};

/// Every complete event of `text`.
std::vector<SseEvent> sse_events(std::string_view text);

/// How a stream looks to a careful client.
struct StreamVerdict {
    std::size_t events = 0;    ///< content events
    std::string content;       ///< delta contents joined (chat) or text joined (completions)
    bool done = false;         ///< [DONE], message_stop or response.completed was seen
    bool error = false;        ///< an error event was seen
    std::string error_code;    ///< `error.code` or `error.type` of it
    bool has_usage = false;    ///< some event carried a usage object
    bool usage_event = false;  ///< an event with empty choices and usage
};
StreamVerdict judge_stream(std::string_view body);

}  // namespace millrace::test
