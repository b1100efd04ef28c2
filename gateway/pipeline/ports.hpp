// The pipeline's view of a client: one request coming in, one answer going out. gateway/server
// implements these over sockets; nothing here knows about them, so that another protocol can bring
// its own.
//
// Thread-safety: none; all calls on the request's worker. Views handed in stay valid until the call
// (or its Task) ends.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/clock.hpp"
#include "config/base/error.hpp"
#include "gateway/http1/head_parser.hpp"
#include "gateway/runtime/abort_signal.hpp"
#include "gateway/runtime/buffer.hpp"
#include "gateway/runtime/pieces.hpp"
#include "gateway/runtime/task.hpp"

namespace millrace::gateway {

/// Is shown the body while it arrives, always from its first byte.
class BodyObserver {
public:
    BodyObserver() = default;
    BodyObserver(const BodyObserver&) = delete;
    BodyObserver& operator=(const BodyObserver&) = delete;
    /// An error ends the reading and becomes the answer.
    virtual Result<void> on_body(std::string_view body_so_far) = 0;

protected:
    ~BodyObserver() = default;
};

class BodySource {
public:
    BodySource() = default;
    BodySource(const BodySource&) = delete;
    BodySource& operator=(const BodySource&) = delete;

    /// Reads the whole body into one buffer, which stays until release(). `limit` bytes at most;
    /// what it occupies is taken from `lease` before it is read. Sends `100 Continue` first if the
    /// client waits for it.
    virtual Task<Result<std::string_view>> read_all(std::uint64_t limit, BudgetLease& lease,
                                                    BodyObserver* observer) = 0;
    /// Forgets head and body; their views end here.
    virtual void release() = 0;

protected:
    ~BodySource() = default;
};

/// How the body of an answer is delimited; the sink chooses the client's framing from it.
struct AnswerHead {
    int status = 200;
    std::optional<std::uint64_t> content_length;  ///< empty = not known in advance
    bool has_body = true;                         ///< false: HEAD, 204, 304
    /// Fields to write, besides framing and connection fields; views until begin() returns.
    HeaderFields fields;
};

class ResponseSink {
public:
    ResponseSink() = default;
    ResponseSink(const ResponseSink&) = delete;
    ResponseSink& operator=(const ResponseSink&) = delete;

    /// Prepares the head; it leaves with the first write, in one piece with it.
    virtual void begin(const AnswerHead& head) = 0;
    /// Writes (head and) pieces; `last` completes the answer. False when the client is gone or
    /// stalled: the abort signal then says why. Waits until all is handed to the kernel, which is
    /// what bounds memory per request.
    virtual Task<bool> write(Pieces pieces, bool last) = 0;
    /// Ends an answer that cannot be completed so that no client takes it for complete: `farewell`
    /// (an error event, or nothing), then the end of the connection without the last chunk.
    virtual Task<void> cut(std::string_view farewell) = 0;
    /// begin() and one write() for answers of our own. `closes`: the connection ends after it.
    virtual Task<bool> respond(const AnswerHead& head, std::string_view body, bool closes) = 0;

    /// A byte of the answer was handed to the kernel.
    virtual bool committed() const = 0;
    virtual std::uint64_t bytes_written() const = 0;

protected:
    ~ResponseSink() = default;
};

/// Who is at the other end.
struct Peer {
    std::string_view address;   ///< IP literal
    bool is_trusted = false;    ///< a proxy whose forwarding fields are believed
    std::string_view identity;  ///< of its client certificate (SAN), empty without
};

/// One request and everything it may use; lives in the session for as long as the request does.
struct Exchange {
    const http1::RequestHead& head;  ///< until BodySource::release()
    Peer peer;
    BodySource& body;
    ResponseSink& sink;
    AbortSignal& abort;
    Instant started;
};

}  // namespace millrace::gateway
