#include "config/bind.hpp"

namespace millrace::config {

namespace {

Secret without_line_end(std::string value) {
    while (value.ends_with('\n') || value.ends_with('\r')) {
        value.pop_back();
    }
    return Secret(std::move(value));
}

std::optional<Secret> from_file(const YamlNode& name, const std::string& path, Files& files,
                                Report& report) {
    const auto file = files.resolve(name.scalar);
    auto contents = files.read(file);
    if (!contents) {
        report.error(name.place, path, "The file " + in_ticks(file) + " cannot be read.");
        return std::nullopt;
    }
    auto secret = without_line_end(std::move(*contents));
    if (secret.empty()) {
        report.error(name.place, path, "The file " + in_ticks(file) + " is empty.");
        return std::nullopt;
    }
    return secret;
}

std::optional<Secret> from_environment(const YamlNode& name, const std::string& path,
                                       const Files& files, Report& report) {
    auto value = files.sources().environment(name.scalar);
    if (!value || value->empty()) {
        report.error(
            name.place, path,
            "The environment variable " + in_ticks(name.scalar) + " is not set or is empty.");
        return std::nullopt;
    }
    return without_line_end(std::move(*value));
}

}  // namespace

std::optional<Secret> read_secret(const YamlNode& node, const std::string& path, Files& files,
                                  Report& report) {
    if (!node.is_mapping()) {
        report.error(node.place, path,
                     "A secret is never written in the document itself; use `{file: path}` or "
                     "`{env: NAME}`.");
        return std::nullopt;
    }
    if (node.entries.size() != 1) {
        report.error(node.place, path,
                     "A secret has exactly one key: `{file: path}` or `{env: NAME}`.");
        return std::nullopt;
    }
    const auto& [key, place, name] = node.entries.front();
    const auto key_path = child_path(path, key);
    if (key != "file" && key != "env") {
        report.error(place, key_path, "Unknown key " + in_ticks(key) + " in a secret.",
                     did_you_mean(key, {"file", "env"}));
        return std::nullopt;
    }
    if (!name.is_scalar() || name.scalar.empty()) {
        report.error(name.place, key_path,
                     key == "file" ? "Expected the path of a file."
                                   : "Expected the name of an environment variable.");
        return std::nullopt;
    }
    return key == "file" ? from_file(name, key_path, files, report)
                         : from_environment(name, key_path, files, report);
}

}  // namespace millrace::config
