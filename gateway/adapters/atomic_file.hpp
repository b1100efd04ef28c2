// Replacing a small file so that whoever reads it, also after a crash, finds the old or the new
// contents. Thread-safety: free function; one writer per path.
#pragma once

#include <string>
#include <string_view>

#include "config/base/error.hpp"

namespace millrace::gateway {

/// Writes `path`.tmp, syncs it, renames it over `path` and syncs the folder, which is made if it
/// is missing. Blocks for as long as the disk takes. The error names the file and the system's
/// reason.
Result<void> replace_file(const std::string& path, std::string_view text);

}  // namespace millrace::gateway
