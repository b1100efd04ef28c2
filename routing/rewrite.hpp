// What a route's filters make of a request: header edits, path and hostname. Pure helpers for the
// forwarding step. Thread-safety: free functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/header_field.hpp"
#include "routing/catalog.hpp"

namespace millrace::routing {

/// Applies RequestHeaderModifier in place: set replaces every field of that name, add appends one,
/// remove drops all. New fields view the rule's strings and have `known` 0. Framing and connection
/// fields and Host are never touched: they belong to the codec.
void apply_request_headers(const Rule& rule, std::vector<HeaderField>& fields);

/// The path to send upstream (query not included), or nullopt when the rule leaves it alone.
std::optional<std::string> rewritten_path(const Rule& rule, const CompiledMatch* match,
                                          std::string_view path);

/// The Host to send upstream, or empty when the rule does not say.
std::string_view rewritten_host(const Rule& rule);

/// Paths that command a vLLM server (sleep, LoRA loading, profiling …), however they are spelled
/// (percent-encoded, doubled or trailing slashes).
bool is_control_path(std::string_view path);

}  // namespace millrace::routing
