// Recorded request traces. They are not part of the repository: MILLRACE_TRACES names their
// directory, else
// ../shared/traces beside the checkout is looked at. Thread-safety: pure functions.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace millrace::test {

/// The directory of traces, or nullopt when there is none.
std::optional<std::filesystem::path> trace_directory(const std::filesystem::path& source_root);

struct TraceRequest {
    std::chrono::microseconds at{};  ///< since the first request
    std::uint32_t prompt_tokens = 0;
    std::uint32_t output_tokens = 0;
};

/// Reads an Azure 2023 trace (.csv.xz): the first `limit` requests.
std::vector<TraceRequest> read_azure_trace(const std::filesystem::path& file, std::size_t limit);

}  // namespace millrace::test
