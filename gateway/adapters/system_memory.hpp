// How much memory this process may use: the tightest cgroup limit (v2 or v1, ancestors included),
// else the machine's. The byte budget of bodies is a share of it. Thread-safety: free functions
// without state. Units: bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace millrace::gateway {

struct SystemMemory {
    std::uint64_t bytes = 0;  ///< 0 = could not be found out
    std::string source;       ///< the file that decided, for the start-up log
};

/// Contents of a file, or nullopt when it cannot be read.
using FileReader = std::function<std::optional<std::string>(const std::string& path)>;

/// Pure: all files come through `read`.
SystemMemory find_system_memory(const FileReader& read);
/// Of this process.
SystemMemory find_system_memory();

}  // namespace millrace::gateway
