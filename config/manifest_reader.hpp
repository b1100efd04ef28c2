// Reads Gateway API HTTPRoute documents out of a YAML file, as they are in a cluster.
//
// Documents of other kinds, unknown keys and parts that Millrace does not act on are warnings that
// name them; what would make a route match differently from what its author wrote (regular
// expressions, counts over the API's limits, values outside their range) is an error.
// Thread-safety: free functions without state.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/manifest.hpp"
#include "config/model.hpp"
#include "config/report.hpp"

namespace millrace::config {

/// Routes of one file. A backendRef whose name is not a key of `backends` is a warning: its share
/// is answered 500.
std::vector<HttpRoute> read_manifest(std::string_view text,
                                     const std::map<std::string, Backend>& backends,
                                     Report& report);

}  // namespace millrace::config
