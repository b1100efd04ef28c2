// Fills a Config from the tree of a document: every key is known, every value has its type and
// range, or the report says what is wrong where. Secrets are fetched and named files are looked at
// on the way. Not thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/load.hpp"
#include "config/report.hpp"
#include "config/yaml_reader.hpp"

namespace millrace::config {

/// What one load reads besides the document, and what it finds out about the files.
class Files {
public:
    /// `document` is the path of the document: relative paths start at its folder.
    Files(const Sources& sources, const std::string& document);

    /// `path` as seen from the document's folder.
    std::string resolve(const std::string& path) const;
    /// The contents; the path is noted for the watcher even when it cannot be read.
    std::optional<std::string> read(const std::string& path);
    /// Same, and the contents count for the fingerprint.
    std::optional<std::string> read_referenced(const std::string& path);

    const Sources& sources() const { return sources_; }
    const std::vector<std::string>& read_paths() const { return paths_; }
    std::uint64_t fingerprint() const { return fingerprint_; }

private:
    const Sources& sources_;
    std::string folder_;
    std::vector<std::string> paths_;
    std::uint64_t fingerprint_ = 0xcbf29ce484222325;  // FNV-1a
};

void bind(const YamlNode& document, Files& files, Report& report, Config& config);

/// The value of `{file: path}` or `{env: NAME}`; a secret written in the document itself is
/// refused. The value itself never appears in a message.
std::optional<Secret> read_secret(const YamlNode& node, const std::string& path, Files& files,
                                  Report& report);

}  // namespace millrace::config
