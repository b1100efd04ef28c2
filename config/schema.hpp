// The two texts that are generated from config/describe.hpp, so that they cannot disagree with the
// loader. Thread-safety: free functions without state.
#pragma once

#include <string>

namespace millrace::config {

/// The document's JSON Schema (draft 2020-12), indented, with a final newline.
std::string json_schema();

/// docs/CONFIGURATION.md: an introduction, then every key with its type, default and meaning.
std::string markdown();

}  // namespace millrace::config
