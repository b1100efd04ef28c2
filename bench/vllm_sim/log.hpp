// The request log: one JSON line per inference request, written when the last byte that will ever
// be written has been written. It says what really went into the socket, so that an oracle that
// knows how many upstream bytes a gateway read can compute how many tokens lay beyond them.
//   offsets count bytes of the response from the first byte of its head; `marks` are [tokens,
//   offset] pairs after each event that carries tokens (tokens cumulative over all choices);
//   tokens_written = the last mark within bytes_written.
// Buffered per loop, flushed when the loop is idle or 64 KiB are waiting. Thread-safety: none, one
// per loop; all loops append to the same file with O_APPEND writes of whole lines.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/base/clock.hpp"
#include "config/base/error.hpp"

namespace millrace::vllm_sim {

struct LogRecord {
    std::string id;  ///< X-Request-Id, or our own
    std::string model;
    std::string path;
    int status = 200;
    bool stream = false;
    std::uint32_t prompt_tokens = 0;
    std::uint32_t cached_tokens = 0;
    std::uint32_t tokens = 0;                     ///< rendered, over all choices
    std::optional<std::uint32_t> continued_from;  ///< first token that continues a final message
    std::uint64_t head_bytes = 0;
    std::uint64_t bytes_written = 0;
    std::vector<std::pair<std::uint32_t, std::uint64_t>> marks;
    std::string end = "completed";  ///< completed | aborted_by_client | fault:KIND | shutdown
    Instant started;
    Instant ended;
};

/// Tokens whose events lie completely within the written bytes.
std::uint32_t tokens_written(const LogRecord& record);

void append_line(std::string& out, const LogRecord& record);

class RequestLog {
public:
    /// Without a file nothing is kept.
    RequestLog() = default;
    static Result<RequestLog> open(const std::string& path);
    RequestLog(RequestLog&& other) noexcept
        : fd_(std::exchange(other.fd_, -1)), buffer_(std::move(other.buffer_)) {}
    RequestLog& operator=(RequestLog&& other) noexcept {
        std::swap(fd_, other.fd_);
        std::swap(buffer_, other.buffer_);
        return *this;
    }
    ~RequestLog();

    bool enabled() const { return fd_ >= 0; }
    bool pending() const { return !buffer_.empty(); }
    void write(const LogRecord& record);
    void flush();

private:
    int fd_ = -1;
    std::string buffer_;
};

}  // namespace millrace::vllm_sim
