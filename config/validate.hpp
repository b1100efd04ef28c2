// The rules that span several keys or need more than a type: names that must be unique or known,
// addresses, URLs, files that go together. Works on the finished structs; the report knows where
// each path was written. Thread-safety: free functions without state.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/report.hpp"

namespace millrace::config {

/// Every broken rule of `config`, and warnings for what is allowed but is rarely meant. Paths that
/// already have an error are not judged again.
void validate(const Config& config, Report& report);

/// Warns of backends that neither a model nor one of `routes` uses, and of a configuration that
/// serves nothing.
void validate_use(const Config& config, const std::vector<HttpRoute>& routes, Report& report);

/// Parts of validate(), by section.
void validate_server(const Config& config, Report& report);
void validate_models(const Config& config, Report& report);
void validate_rollouts(const Config& config, Report& report);
/// One model: exactly one of variants, rules and auto, and that what it may choose exists.
void validate_choice(const Config& config, const Model& model, const std::string& path,
                     Report& report);
void validate_backends(const Config& config, Report& report);

/// Names that say who somebody is, or that are removed from what clients send; any case.
bool is_identity_header(std::string_view name);

}  // namespace millrace::config
