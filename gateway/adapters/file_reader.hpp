// Reading a small file whole, for keys, tokens and configuration. Thread-safety: free functions
// without state.
#pragma once

#include <cstdint>
#include <string>

#include "config/base/error.hpp"

namespace millrace::gateway {

constexpr std::uint64_t kMaxFileBytes = 64ULL * 1024 * 1024;

/// The contents, or an error that names the file and the system's reason. Works for /proc and pipes
/// too.
Result<std::string> read_whole_file(const std::string& path, std::uint64_t limit = kMaxFileBytes);

/// The contents without surrounding white space: a token or pepper, which editors like to end with
/// a newline.
Result<std::string> read_secret_file(const std::string& path);

}  // namespace millrace::gateway
