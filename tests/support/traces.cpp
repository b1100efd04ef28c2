#include "tests/support/traces.hpp"

#include <cstdlib>
#include <sstream>
#include <stdexcept>

#include "tests/support/process.hpp"

namespace millrace::test {

namespace {

/// Microseconds since midnight of `2023-11-16 18:15:46.6805900`.
std::chrono::microseconds time_of_day(const std::string& text) {
    const auto number = [&](std::size_t at, std::size_t size) {
        return std::stol(text.substr(at, size));
    };
    const std::chrono::seconds whole{number(11, 2) * 3600 + number(14, 2) * 60 + number(17, 2)};
    return whole + std::chrono::microseconds(number(20, 6));
}

}  // namespace

std::optional<std::filesystem::path> trace_directory(const std::filesystem::path& source_root) {
    const char* given = std::getenv("MILLRACE_TRACES");
    const auto directory = given != nullptr ? std::filesystem::path(given)
                                            : source_root.parent_path() / "shared" / "traces";
    return std::filesystem::is_directory(directory) ? std::optional(directory) : std::nullopt;
}

std::vector<TraceRequest> read_azure_trace(const std::filesystem::path& file, std::size_t limit) {
    const auto ran = run({"xz", "-dc", file.string()});
    if (ran.code != 0) {
        throw std::runtime_error("cannot read " + file.string() + ": " + ran.output);
    }
    std::istringstream lines(ran.output);
    std::string line;
    std::getline(lines, line);  // column names
    std::vector<TraceRequest> requests;
    std::chrono::microseconds first{};
    while (requests.size() < limit && std::getline(lines, line)) {
        const auto comma = line.find(',');
        const auto second = line.find(',', comma + 1);
        if (comma == std::string::npos || second == std::string::npos) {
            continue;
        }
        const auto at = time_of_day(line);
        if (requests.empty()) {
            first = at;
        }
        requests.push_back({at - first,
                            static_cast<std::uint32_t>(std::stoul(line.substr(comma + 1))),
                            static_cast<std::uint32_t>(std::stoul(line.substr(second + 1)))});
    }
    return requests;
}

}  // namespace millrace::test
