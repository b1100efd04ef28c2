// Reading the document and its manifests. Every problem is found, not the first; each with its place and a suggestion.
//
// Pure: files and environment come through the two readers, so tests run without a disk.
// Thread-safety: free functions without state.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/manifest.hpp"
#include "config/model.hpp"

namespace millrace::config {

enum class Severity : std::uint8_t { error, warning };

/// One finding. `line` and `column` count from 1; 0 = no place (a whole file). `path` is like `models[0].variants[1]`.
struct Problem {
    Severity severity = Severity::error;
    std::string file;
    int line = 0;
    int column = 0;
    std::string path;
    std::string message;
    std::string suggestion;  ///< e.g. "did you mean `weight`?"; empty = none
};

/// `file:line:column: error: path: message (suggestion)`.
std::string to_string(const Problem& problem);

/// The world outside the document.
struct Sources {
    /// Contents of a file, or nullopt when it cannot be read.
    std::function<std::optional<std::string>(const std::string& path)> read_file;
    /// Paths that a glob (or plain path) matches, sorted.
    std::function<std::vector<std::string>(const std::string& pattern)> expand;
    /// Value of an environment variable.
    std::function<std::optional<std::string>(const std::string& name)> environment;
};

/// Files and environment of this process.
Sources system_sources();

/// A configuration that passed every check, as one immutable snapshot.
struct Loaded {
    Config config;
    std::vector<HttpRoute> routes;
    std::vector<std::string> files;  ///< every file that was read, for the watcher
    /// Of the contents of the certificates, keys and key tables that the document names, so that a rotated file makes
    /// the configuration differ although the document does not.
    std::uint64_t fingerprint = 0;
    bool operator==(const Loaded& other) const {
        return config == other.config && routes == other.routes && fingerprint == other.fingerprint;
    }
};

struct LoadResult {
    std::shared_ptr<const Loaded> loaded;  ///< null iff there is at least one error
    std::vector<Problem> problems;         ///< in document order, warnings included
};

/// Reads, checks and joins the document at `path` with all that it refers to.
LoadResult load(const std::string& path, const Sources& sources);

}  // namespace millrace::config
