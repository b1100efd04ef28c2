// What the operator says, as plain structs. Defaults are the member initialisers below and nowhere
// else.
//
// One `describe(visitor, T&)` per struct (config/describe.hpp) is the single source of the loader,
// the JSON Schema and docs/CONFIGURATION.md; a key enters here together with its behaviour.
// Durations are nanoseconds inside and `10s`, `250ms`, `5m` in YAML; sizes are bytes inside and
// `32MiB`, `64KiB` in YAML. A duration or size of 0 means "off" only where the comment says so.
// Thread-safety: plain values; a loaded Config is immutable and shared as a snapshot.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "config/sections/backends.hpp"
#include "config/sections/models.hpp"
#include "config/sections/rollouts.hpp"
#include "config/sections/server.hpp"

namespace millrace::config {

enum class ModelConflict : std::uint8_t { refuse, rewrite };

struct Routes {
    std::vector<std::string>
        manifests;  ///< files or globs of HTTPRoute documents, relative to the document
    ModelConflict on_model_conflict = ModelConflict::refuse;
    bool operator==(const Routes&) const = default;
};

/// The whole document, plus the HTTPRoute manifests it names (config/manifest.hpp) kept in
/// `Loaded`.
struct Config {
    Listeners listeners;
    Process process;
    Limits limits;
    Overload overload;
    HttpOptions http;
    ClientTimeouts client_timeouts;
    Authentication authentication;
    Trust trust;
    std::map<std::string, Tenant> tenants;
    std::vector<Model> models;
    Rollouts rollouts;
    std::map<std::string, Backend> backends;
    Routes routes;
    Logging logging;
    Drain drain;
    bool operator==(const Config&) const = default;
};

}  // namespace millrace::config
