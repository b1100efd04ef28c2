// relay_events: an event stream to the client, by complete events, one write per read, while the
// times of its content are noted. Thread-safety: none; one worker.
#pragma once

#include <cstddef>
#include <cstdint>

#include "config/base/clock.hpp"
#include "config/base/error.hpp"
#include "gateway/pipeline/answer.hpp"
#include "gateway/pipeline/read_request.hpp"
#include "gateway/pipeline/response_memory.hpp"
#include "gateway/pipeline/scope.hpp"
#include "gateway/runtime/task.hpp"

namespace millrace::gateway {

/// Times of content, from the first to the last.
class ContentClock {
public:
    explicit ContentClock(RequestScope& scope) : scope_(scope) {}
    ContentClock(const ContentClock&) = delete;
    ContentClock& operator=(const ContentClock&) = delete;
    ~ContentClock() {
        if (seen_ > 0) {
            scope_.record.content_time = last_ - first_;
            scope_.record.content_events = seen_;
        }
    }

    void on_read(Answer& answer);
    /// Another endpoint goes on.
    void next_attempt() { of_this_ = 0; }

private:
    RequestScope& scope_;
    std::uint64_t seen_ = 0;     // content events of all attempts
    std::uint64_t of_this_ = 0;  // of them: of this attempt
    Instant first_{};
    Instant last_{};
};

/// What a stream needs of its request while it is relayed: mostly nothing, and a stream may last
/// for minutes.
class RequestMemory {
public:
    RequestMemory(RequestScope& scope, std::size_t body) : scope_(scope), body_(body) {}

    /// Something of the answer was written: no other attempt will need the request, unless the
    /// stream may be continued.
    void on_written(Answer& answer);

private:
    RequestScope& scope_;
    std::size_t body_;  // bytes
    bool released_ = false;
};

/// One stream, by one attempt after the other.
class EventRelay {
public:
    EventRelay(RequestScope& scope, const Request& request, ResponseMemory& responses)
        : scope_(scope),
          clock_(scope),
          responses_(responses),
          memory_(scope, request.body.size()) {}

    /// From the first events of `answer` to the end of it, or to where it broke off.
    Task<Result<void>> run(Answer& answer);

private:
    RequestScope& scope_;
    ContentClock clock_;
    ResponseMemory& responses_;
    RequestMemory memory_;
    bool first_ = true;
};

}  // namespace millrace::gateway
