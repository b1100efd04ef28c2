#include "gateway/adapters/system_memory.hpp"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "gateway/adapters/file_reader.hpp"

namespace millrace::gateway {
namespace {

std::optional<std::uint64_t> leading_number(std::string_view text) {
    text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end == text.data()) {
        return std::nullopt;  // `max` of cgroup v2, or no number at all
    }
    return value;
}

/// Calls `each(line)` for every line.
template <class Function>
void for_each_line(std::string_view text, Function each) {
    while (!text.empty()) {
        const auto end = std::min(text.find('\n'), text.size());
        each(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
}

std::uint64_t machine_memory(std::string_view meminfo) {
    std::uint64_t bytes = 0;
    for_each_line(meminfo, [&](std::string_view line) {
        constexpr std::string_view kTotal = "MemTotal:";
        if (line.starts_with(kTotal)) {
            bytes = leading_number(line.substr(kTotal.size())).value_or(0) * 1024;
        }
    });
    return bytes;
}

struct Search {
    const FileReader& read;
    SystemMemory best;

    void consider(const std::string& file) {
        const auto text = read(file);
        const auto bytes = text ? leading_number(*text) : std::nullopt;
        // cgroup v1 writes "no limit" as a huge number, which never is the smallest.
        if (bytes && *bytes > 0 && (best.bytes == 0 || *bytes < best.bytes)) {
            best = {*bytes, file};
        }
    }

    /// A group's limit and those of all above it. In a container the path may be the host's, which
    /// is not visible there; the mount's root is then the container's own group.
    void climb(const std::string& mount, std::string path, const std::string& file) {
        while (true) {
            if (path == "/") {
                path.clear();
            }
            consider(std::string(mount).append(path).append(file));
            if (path.empty()) {
                return;
            }
            path.resize(path.find_last_of('/'));
        }
    }
};

bool lists_memory(std::string_view controllers) {
    while (!controllers.empty()) {
        const auto end = std::min(controllers.find(','), controllers.size());
        if (controllers.substr(0, end) == "memory") {
            return true;
        }
        controllers.remove_prefix(std::min(end + 1, controllers.size()));
    }
    return false;
}

}  // namespace

SystemMemory find_system_memory(const FileReader& read) {
    Search search{read, {}};
    if (const auto meminfo = read("/proc/meminfo")) {
        search.best = {machine_memory(*meminfo), "/proc/meminfo"};
    }
    // Lines are `hierarchy:controllers:path`; v2 is `0::path`.
    for_each_line(read("/proc/self/cgroup").value_or(""), [&](std::string_view line) {
        const auto first = line.find(':');
        const auto second = first == std::string_view::npos ? first : line.find(':', first + 1);
        if (second == std::string_view::npos || !line.substr(second + 1).starts_with('/')) {
            return;
        }
        const auto controllers = line.substr(first + 1, second - first - 1);
        const std::string path(line.substr(second + 1));
        if (controllers.empty()) {
            search.climb("/sys/fs/cgroup", path, "/memory.max");
        } else if (lists_memory(controllers)) {
            search.climb("/sys/fs/cgroup/memory", path, "/memory.limit_in_bytes");
        }
    });
    return search.best;
}

SystemMemory find_system_memory() {
    return find_system_memory([](const std::string& path) -> std::optional<std::string> {
        auto text = read_whole_file(path);
        return text ? std::optional(std::move(*text)) : std::nullopt;
    });
}

}  // namespace millrace::gateway
