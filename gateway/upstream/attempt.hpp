// Attempt: one try at one endpoint, from connection to the last byte of the answer.
//
// The steps are coroutines, called in order: connect, send, read_head, then read until the body is
// complete. Each waits with a deadline, and ends at once when the request is aborted. While it
// waits for the backend it holds no buffer. Every failure is an Error whose code says which step
// and limit; facts about the attempt stay readable afterwards. finish() gives a clean connection
// back to the pool; destruction closes any other. Thread-safety: none; one worker.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/clock.hpp"
#include "config/base/error.hpp"
#include "config/model.hpp"
#include "gateway/http1/body_decoder.hpp"
#include "gateway/http1/response_parser.hpp"
#include "gateway/runtime/abort_signal.hpp"
#include "gateway/runtime/buffer.hpp"
#include "gateway/runtime/loop.hpp"
#include "gateway/runtime/pieces.hpp"
#include "gateway/runtime/task.hpp"
#include "gateway/runtime/timer_wheel.hpp"
#include "gateway/upstream/backend.hpp"
#include "gateway/upstream/pool.hpp"
#include "routing/endpoints.hpp"

namespace millrace::gateway {

enum class BodyProgress : std::uint8_t {
    more,     ///< pieces were delivered, the body goes on
    complete  ///< the pieces delivered with it (perhaps none) are the last
};

struct AttemptOptions {
    config::UpstreamTimeouts timeouts;
    Instant total_deadline = Instant::max();  ///< of the whole exchange
    Duration total_limit{0};                  ///< the limit behind it, for the error's text
    bool is_stream = false;                   ///< the first-token limit applies
    bool is_head = false;                     ///< the request is a HEAD: no body will follow
    bool fresh_connection = false;            ///< kept ones are not trusted
};

class Attempt {
public:
    Attempt(Loop& loop, UpstreamPool& pool, AbortSignal& abort, const AttemptOptions& options);
    Attempt(const Attempt&) = delete;
    Attempt& operator=(const Attempt&) = delete;
    ~Attempt() = default;

    /// Takes a kept connection, unless the options ask for a fresh one, or opens one. Both
    /// arguments outlive the call.
    Task<Result<void>> connect(const routing::EndpointState& endpoint,
                               const BackendRuntime& backend);

    /// Writes the request; the views stay valid until it returns. A backend that answers before it
    /// has read everything is no failure: the answer is there to be read.
    Task<Result<void>> send(Pieces pieces);

    /// Reads up to the end of the final response head; head() is valid until the first read().
    Task<Result<void>> read_head();
    const http1::ResponseHead& head() const { return connection_->parser.head(); }

    /// The first read() takes what came with the head, so head() stays valid through it.
    bool body_came_with_head() const;

    /// Replaces `pieces` by the next part of the body; the views are valid until the next call.
    /// Fails with upstream_truncated when the body ended early.
    Task<Result<BodyProgress>> read(std::vector<std::string_view>& pieces);

    /// Moves what read() delivered together, so that it is one view; for readers that need whole
    /// events.
    std::string_view join(std::vector<std::string_view>& pieces);

    /// Copies the head's bytes to `storage`, where head() then lives; for callers that read on
    /// before they use it.
    void keep_head(std::string& storage);

    /// Gives back the memory of the head's fields; the rest of head() stays valid.
    void forget_head() { connection_->parser.forget_fields(); }

    /// What the backend has sent already, at most 64 KiB, without waiting: for the count after an
    /// abort. False when there is nothing more.
    bool read_available(std::vector<std::string_view>& pieces);

    /// A content token was seen: only the idle limit remains.
    void content_seen() { awaiting_content_ = false; }

    /// Keeps the connection for the next request if its last answer ended cleanly. Call once, after
    /// `complete`.
    void finish(const config::Backend& settings);

    bool reused() const { return reused_; }
    bool connected() const { return phase_ != Phase::connecting; }
    std::uint64_t bytes_read() const { return bytes_read_; }

private:
    enum class Phase : std::uint8_t { connecting, sending, head, body, done };
    enum class Interrupt : std::uint8_t { none, deadline, aborted };

    void interrupt(Interrupt why);
    void arm(Instant phase_deadline, Errc code);
    void arm_for_body();
    Error interrupted() const;
    Error connection_lost() const;
    // The backend is silent: to be called before it is waited for.
    void begin_wait();
    // One read without waiting; false when there is nothing.
    Result<bool> fill();
    Result<bool> parse_head();
    void decode(std::vector<std::string_view>& pieces);

    Loop& loop_;
    UpstreamPool& pool_;
    AbortSignal& abort_;
    AttemptOptions options_;
    std::unique_ptr<Connection> connection_;
    Buffer in_;                   // bytes of the last read
    std::string_view undecoded_;  // of in_
    http1::BodyDecoder body_;
    std::uint64_t bytes_read_ = 0;
    Instant sent_at_{};
    Timer timer_;
    Errc deadline_code_ = Errc::total_timeout;
    Phase phase_ = Phase::connecting;
    Interrupt interrupt_ = Interrupt::none;
    bool waiting_ = false;  // for the backend; time spent otherwise is not its silence
    bool reused_ = false;
    bool sent_whole_ = false;
    bool saw_eof_ = false;
    bool awaiting_content_ = true;
    std::optional<Error> broken_;  // found behind pieces that are delivered first
    AbortSignal::Listener listener_;
};

}  // namespace millrace::gateway
