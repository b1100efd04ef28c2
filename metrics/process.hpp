// The process_* series, from the text of Linux's /proc.
//
// Reading files is gateway's business: it injects the reader and the system's constants, so this
// stays pure. Thread-safety: the callbacks run at scrape, on the scraping thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "metrics/registry.hpp"

namespace millrace::metrics {

struct ProcessSource {
    std::function<std::string(const char* path)>
        read;                              ///< a file's text, empty when it cannot be read
    std::function<double()> open_files;    ///< entries of /proc/self/fd
    std::uint64_t page_bytes = 4096;       ///< sysconf(_SC_PAGESIZE)
    std::uint64_t ticks_per_second = 100;  ///< sysconf(_SC_CLK_TCK)
};

struct ProcessStat {
    std::uint64_t cpu_ticks = 0;    ///< user + system
    std::uint64_t start_ticks = 0;  ///< since boot
    std::uint64_t resident_pages = 0;
    bool operator==(const ProcessStat&) const = default;
};

/// /proc/self/stat; the command's name may hold spaces and parentheses.
std::optional<ProcessStat> parse_process_stat(std::string_view text);
/// Seconds since the epoch at boot, from /proc/stat.
std::optional<std::uint64_t> parse_boot_time(std::string_view text);

/// Registers process_open_fds, _resident_memory_bytes, _cpu_seconds_total and _start_time_seconds.
[[nodiscard]] std::vector<GaugeHandle> register_process_gauges(Registry& registry,
                                                               ProcessSource source);

}  // namespace millrace::metrics
