// The parts of an HTTPRoute rule, one function each; config/manifest_reader puts them together.
// Thread-safety: free functions without state.
#pragma once

#include "config/manifest.hpp"
#include "config/manifest_object.hpp"

namespace millrace::config {

/// One entry of `rules[].matches`.
HttpRouteMatch read_match(const YamlNode& node, const std::string& path, Report& report);

/// One entry of `rules[].filters`, added to the rule; a filter that is not supported is a warning.
void read_filter(const YamlNode& node, const std::string& path, Report& report,
                 HttpRouteRule& rule);

}  // namespace millrace::config
