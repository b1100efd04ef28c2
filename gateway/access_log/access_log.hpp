// AccessLog: one JSON line per request, written by its own thread.
//
// write() encodes on the calling worker and hands the line to a bounded queue; when the disk is
// slower than the traffic, the oldest lines are overwritten and counted, so the log can never stall
// a request. Thread-safety: write() and dropped() from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "config/base/clock.hpp"
#include "config/base/error.hpp"
#include "metrics/settlement.hpp"

namespace millrace::gateway {

class AccessLog {
public:
    /// `target`: `stdout`, `stderr` or a file that is appended to. Fails when the file cannot be
    /// opened.
    static Result<std::unique_ptr<AccessLog>> open(const std::string& target,
                                                   std::size_t queue_lines = 8192);

    AccessLog(const AccessLog&) = delete;
    AccessLog& operator=(const AccessLog&) = delete;
    /// Writes what is queued, then stops the thread.
    ~AccessLog();

    /// `end` is the time the request ended. A line that cannot be encoded or queued is counted as
    /// dropped.
    void write(const metrics::RequestRecord& record, WallTime end) noexcept;

    /// Lines lost so far; feeds millrace_access_log_dropped_total.
    std::uint64_t dropped() const noexcept;

private:
    struct Impl;
    explicit AccessLog(std::unique_ptr<Impl> impl);

    std::unique_ptr<Impl> impl_;
};

}  // namespace millrace::gateway
