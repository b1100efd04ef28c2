#include "bench/vllm_sim/log.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "bench/vllm_sim/text.hpp"

namespace millrace::vllm_sim {
namespace {

constexpr std::size_t kFlushAbove = 64U << 10U;

void append_seconds(std::string& out, Instant at) {
    append_fixed(out, seconds(at.time_since_epoch()), 6);
}

}  // namespace

std::uint32_t tokens_written(const LogRecord& record) {
    const auto beyond = std::ranges::upper_bound(record.marks, record.bytes_written, {},
                                                 [](const auto& mark) { return mark.second; });
    return beyond == record.marks.begin() ? 0 : std::prev(beyond)->first;
}

void append_line(std::string& out, const LogRecord& record) {
    out += R"({"id":)";
    append_json_string(out, record.id);
    out += R"(,"model":)";
    append_json_string(out, record.model);
    out += R"(,"path":)";
    append_json_string(out, record.path);
    append(out, R"(,"status":)", record.status, R"(,"stream":)", record.stream ? "true" : "false",
           R"(,"prompt_tokens":)", record.prompt_tokens, R"(,"cached_tokens":)",
           record.cached_tokens, R"(,"tokens":)", record.tokens, R"(,"tokens_written":)",
           tokens_written(record), R"(,"head_bytes":)", record.head_bytes, R"(,"bytes_written":)",
           record.bytes_written, R"(,"end":)");
    append_json_string(out, record.end);
    if (record.continued_from) {
        append(out, R"(,"continued_from":)", *record.continued_from);
    }
    out += R"(,"started":)";
    append_seconds(out, record.started);
    out += R"(,"ended":)";
    append_seconds(out, record.ended);
    out += R"(,"marks":[)";
    bool first = true;
    for (const auto& [tokens, offset] : record.marks) {
        append(out, first ? "[" : ",[", tokens, ",", offset, "]");
        first = false;
    }
    out += "]}\n";
}

Result<RequestLog> RequestLog::open(const std::string& path) {
    RequestLog log;
    log.fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (log.fd_ < 0) {
        return failure(Errc::internal, Origin::internal,
                       "The log file " + path + " cannot be opened: " + std::strerror(errno) + ".");
    }
    return log;
}

RequestLog::~RequestLog() {
    if (fd_ >= 0) {
        flush();
        ::close(fd_);
    }
}

void RequestLog::write(const LogRecord& record) {
    append_line(buffer_, record);
    if (buffer_.size() > kFlushAbove) {
        flush();
    }
}

void RequestLog::flush() {
    std::string_view left = buffer_;
    while (!left.empty()) {
        const ssize_t written = ::write(fd_, left.data(), left.size());
        if (written < 0) {
            if (errno == EINTR) {
                continue;
            }
            break;  // a full disk must not stop the simulator; the checker sees the missing lines
        }
        left.remove_prefix(static_cast<std::size_t>(written));
    }
    buffer_.clear();
}

}  // namespace millrace::vllm_sim
