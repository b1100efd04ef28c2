// Reading one mapping of a Kubernetes manifest: known keys by name, the rest is a warning; null
// means absent, as the Kubernetes API has it. Not thread-safe; lives for one mapping.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/clock.hpp"
#include "config/report.hpp"
#include "config/yaml_reader.hpp"

namespace millrace::config {

class ManifestObject {
public:
    /// Anything but a mapping is an error, and then reads as an empty one.
    ManifestObject(const YamlNode& node, std::string path, Report& report);

    bool valid() const { return node_->is_mapping(); }
    /// The value of `key`, or nullptr when it is absent or null.
    const YamlNode* get(std::string_view key);
    /// Text without control characters; anything else is an error and reads as absent.
    std::optional<std::string> text(std::string_view key);
    std::optional<std::uint64_t> count(std::string_view key, std::uint64_t min, std::uint64_t max);
    std::optional<Duration> duration(std::string_view key);
    /// The items of a list of at most `max`; empty when absent. More than `max` is an error.
    const std::vector<YamlNode>& list(std::string_view key, std::size_t max);

    void error(std::string_view key, std::string message, std::string suggestion = {});
    void warning(std::string_view key, std::string message, std::string suggestion = {});

    /// Keys that mean something to others.
    void ignore(std::initializer_list<std::string_view> keys);
    /// Keys of the API that Millrace does not act on: a warning for each that is there.
    void unsupported(std::initializer_list<std::string_view> keys);
    /// Warns of every key that was not asked for.
    void finish();

    std::string path_of(std::string_view key) const { return child_path(path_, key); }
    const std::string& path() const { return path_; }
    Place place() const { return node_->place; }

private:
    Place place_of(std::string_view key) const;

    const YamlNode* node_;
    std::string path_;
    Report& report_;
    std::vector<std::string_view> known_;
};

/// Text without control characters, else an error at the node.
std::optional<std::string> manifest_text(const YamlNode& node, const std::string& path,
                                         Report& report);

}  // namespace millrace::config
