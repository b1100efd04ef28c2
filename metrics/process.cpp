#include "metrics/process.hpp"

#include <charconv>
#include <limits>
#include <memory>

namespace millrace::metrics {

namespace {

std::optional<std::uint64_t> to_number(std::string_view word) {
    std::uint64_t value = 0;
    const char* end = word.data() + word.size();
    const auto [stop, error] = std::from_chars(word.data(), end, value);
    return error == std::errc{} && stop == end ? std::optional(value) : std::nullopt;
}

/// The n-th (from 0) word, separated by single spaces or newlines.
std::string_view word_at(std::string_view text, std::size_t n) {
    for (; n > 0; --n) {
        const std::size_t space = text.find_first_of(" \n");
        if (space == std::string_view::npos) {
            return {};
        }
        text.remove_prefix(space + 1);
    }
    return text.substr(0, text.find_first_of(" \n"));
}

}  // namespace

std::optional<ProcessStat> parse_process_stat(std::string_view text) {
    // The command in parentheses may hold anything, so the fields are counted from the last
    // parenthesis.
    const std::size_t close = text.rfind(')');
    if (close == std::string_view::npos || close + 2 > text.size()) {
        return std::nullopt;
    }
    const std::string_view fields = text.substr(close + 2);
    // proc(5) counts from 1 and the first word here is field 3.
    const auto user = to_number(word_at(fields, 14 - 3));
    const auto system = to_number(word_at(fields, 15 - 3));
    const auto start = to_number(word_at(fields, 22 - 3));
    const auto resident = to_number(word_at(fields, 24 - 3));
    if (!user || !system || !start || !resident) {
        return std::nullopt;
    }
    return ProcessStat{
        .cpu_ticks = *user + *system, .start_ticks = *start, .resident_pages = *resident};
}

std::optional<std::uint64_t> parse_boot_time(std::string_view text) {
    constexpr std::string_view kKey = "\nbtime ";
    const std::size_t at = text.find(kKey);
    return at == std::string_view::npos ? std::nullopt
                                        : to_number(word_at(text.substr(at + kKey.size()), 0));
}

std::vector<GaugeHandle> register_process_gauges(Registry& registry, ProcessSource source) {
    const auto shared = std::make_shared<const ProcessSource>(std::move(source));
    // A value that cannot be read is NaN, which Prometheus shows as a gap; 0 would be a claim.
    constexpr double kUnreadable = std::numeric_limits<double>::quiet_NaN();
    const auto from_stat = [&registry, shared](Series series, auto compute) {
        return registry.register_gauge(series, {}, [shared, compute] {
            const auto stat = parse_process_stat(shared->read("/proc/self/stat"));
            return stat ? compute(*shared, *stat) : kUnreadable;
        });
    };
    std::vector<GaugeHandle> handles;
    handles.push_back(registry.register_gauge(Series::process_open_fds, {},
                                              [shared] { return shared->open_files(); }));
    handles.push_back(from_stat(Series::process_resident_memory_bytes,
                                [](const ProcessSource& system, const ProcessStat& stat) {
                                    return static_cast<double>(stat.resident_pages *
                                                               system.page_bytes);
                                }));
    handles.push_back(from_stat(Series::process_cpu_seconds_total, [](const ProcessSource& system,
                                                                      const ProcessStat& stat) {
        return static_cast<double>(stat.cpu_ticks) / static_cast<double>(system.ticks_per_second);
    }));
    handles.push_back(from_stat(Series::process_start_time_seconds, [](const ProcessSource& system,
                                                                       const ProcessStat& stat) {
        const auto boot = parse_boot_time(system.read("/proc/stat"));
        return boot ? static_cast<double>(*boot) + static_cast<double>(stat.start_ticks) /
                                                       static_cast<double>(system.ticks_per_second)
                    : kUnreadable;
    }));
    return handles;
}

}  // namespace millrace::metrics
