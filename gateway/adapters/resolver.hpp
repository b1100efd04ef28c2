// Names to addresses, for `endpoints: {dns: …}`. Blocking (getaddrinfo): for the control thread
// only.
//
// Which of the addresses may be used is decided by routing/discovery; this only asks.
// Thread-safety: free function without state.
#pragma once

#include <string>
#include <vector>

#include "config/base/error.hpp"

namespace millrace::gateway {

/// All addresses of a name as IP literals without brackets, sorted, each once; never empty.
Result<std::vector<std::string>> resolve_name(const std::string& name);

}  // namespace millrace::gateway
