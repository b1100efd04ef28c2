// Every configuration document and HTTPRoute manifest under deploy/ and docs/ is loaded as
// `millrace check` would.
#include <filesystem>
#include <string>

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include "config/load.hpp"

namespace millrace::config {
namespace {

namespace fs = std::filesystem;

/// Our own documents, told by their keys; everything else under deploy/ is Kubernetes'.
bool is_our_document(const fs::path& file) {
    const auto documents = YAML::LoadAllFromFile(file.string());
    if (documents.size() != 1 || !documents.front().IsMap()) {
        return false;
    }
    const auto& document = documents.front();
    return !document["kind"] &&
           (document["backends"] || document["models"] || document["listeners"]);
}

/// Secrets of an example come from files and variables that exist only where it is deployed.
Sources with_stand_in_secrets() {
    auto sources = system_sources();
    sources.environment = [](const std::string&) { return std::optional<std::string>("stand-in"); };
    sources.read_file = [real = sources.read_file](const std::string& path) {
        auto contents = real(path);
        return contents || path.starts_with(MILLRACE_SOURCE_DIR)
                   ? contents
                   : std::optional<std::string>("stand-in");
    };
    return sources;
}

TEST(Examples, AreAllAccepted) {
    std::size_t seen = 0;
    for (const auto* folder : {"deploy", "docs"}) {
        const auto path = fs::path(MILLRACE_SOURCE_DIR) / folder;
        if (!fs::exists(path)) {
            continue;
        }
        for (const auto& entry : fs::recursive_directory_iterator(path)) {
            if (entry.path().extension() != ".yaml" ||
                entry.path().string().contains("/templates/") || !is_our_document(entry.path())) {
                continue;
            }
            ++seen;
            const auto result = load(entry.path().string(), with_stand_in_secrets());
            std::string problems;
            for (const auto& problem : result.problems) {
                problems += to_string(problem) + '\n';
            }
            EXPECT_TRUE(result.loaded) << problems;
        }
    }
    EXPECT_GT(seen, 0U) << "there is no example";
}

}  // namespace
}  // namespace millrace::config
