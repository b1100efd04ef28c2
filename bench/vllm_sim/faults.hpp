// Faults on demand. A fault is written `kind[=value][@place][,retry-after=S]`:
//   die, rst, stall        @start (before the head) | @head (after it) | @tokens=K (after K tokens)
//   | @bytes=N (after N
//                          bytes of the response); the connection is closed, reset, or held open in
//                          silence
//   error-event@tokens=K   an error event after K tokens, then what vLLM sends behind it
//   bad-chunk@tokens=K     an invalid chunk size after K tokens (for a whole body: instead of its
//   first chunk) short-length, long-length   Content-Length 5 below / 5 above the real body
//   (streams: 64 / 1 000 000) lf-head, te-cl         head lines that end in LF only; both
//   Transfer-Encoding and Content-Length eof-body               no framing, the body ends with the
//   connection slow-head=MS           half of the head, a pause, the rest status=CODE            an
//   error answer: 400, 429, 500, 503, ... refuse-usage           400 naming
//   stream_options.continuous_usage_stats, if the request has it no-usage               the final
//   usage event is left out
// Pure except FaultPlan, which is shared by all loops and locked.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include "config/base/error.hpp"

namespace millrace::vllm_sim {

enum class FaultKind : std::uint8_t {
    none,
    die,
    rst,
    stall,
    error_event,
    bad_chunk,
    short_length,
    long_length,
    lf_head,
    te_cl,
    eof_body,
    slow_head,
    status,
    refuse_usage,
    no_usage
};

enum class FaultPlace : std::uint8_t { start, head, tokens, bytes };

struct Fault {
    FaultKind kind = FaultKind::none;
    FaultPlace place = FaultPlace::start;
    std::uint64_t at = 0;           ///< tokens or bytes, by place
    std::uint32_t value = 0;        ///< status code, milliseconds
    std::uint32_t retry_after = 0;  ///< seconds; 0: no header

    /// Ends the connection by itself at some offset of the response.
    bool cuts() const {
        return kind == FaultKind::die || kind == FaultKind::rst || kind == FaultKind::stall;
    }
    bool at_tokens(std::uint64_t tokens) const {
        return place == FaultPlace::tokens && at == tokens;
    }
};

/// An empty text is no fault.
Result<Fault> parse_fault(std::string_view text);

std::string_view to_string(FaultKind kind);

/// The server-wide fault: applied to every `every`-th inference request, at most `count` times.
class FaultPlan {
public:
    void set(const Fault& fault, std::uint32_t every, std::uint64_t count);
    Fault next();

private:
    std::atomic<bool> armed_{
        false};  ///< spares the lock when there is no fault, which is nearly always
    std::mutex mutex_;
    Fault fault_;
    std::uint32_t every_ = 1;
    std::uint64_t left_ = 0;
    std::uint64_t seen_ = 0;
};

}  // namespace millrace::vllm_sim
