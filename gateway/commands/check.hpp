// `millrace check FILE`: every problem of a configuration and of the files it names, with its
// place.
//
// Goes as far as `serve` does before it binds: document, manifests, key table, certificates. It
// opens no socket. Thread-safety: free functions without state.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "config/load.hpp"

namespace millrace::gateway {

/// Problems go to `err`, one a line; the summary to `out`. kExitClean or kExitConfiguration.
int run_check(const std::string& file, std::ostream& out, std::ostream& err);

/// What is wrong with the files that only the gateway can read: key table, certificates and keys of
/// the listener and of the backends. Sentences; `serve` refuses to start (or to reload) with them
/// too.
std::vector<std::string> find_file_problems(const config::Loaded& loaded);

}  // namespace millrace::gateway
