// Every YAML file under deploy/ and every ```yaml block under docs/ and in README.md is read:
// Millrace documents load, HTTPRoutes are read as such, and documents of other systems at least
// parse.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "config/describe.hpp"
#include "config/manifest_reader.hpp"
#include "config/yaml_reader.hpp"
#include "tests/config/fake_sources.hpp"

namespace millrace::config {
namespace {

using test::dump;
using test::errors_of;

const std::filesystem::path kRoot = MILLRACE_SOURCE_DIR;

std::string read_whole(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

/// The repository's files are real; certificates and secrets of a deployment are stood in for.
Sources repository_sources() {
    auto sources = system_sources();
    sources.read_file = [real = sources.read_file](const std::string& path) {
        return path.starts_with(kRoot.string()) ? real(path)
                                                : std::optional<std::string>("stand-in");
    };
    sources.environment = [](const std::string&) { return std::optional<std::string>("stand-in"); };
    return sources;
}

struct KeyCollector {
    std::vector<std::string_view> keys;
    template <class T>
    void field(const Field& field, T&) {
        keys.push_back(field.key);
    }
};

/// A mapping without `apiVersion` whose every key is one of ours, or is one typing mistake away
/// from it.
bool is_millrace_document(const YamlNode& node) {
    KeyCollector ours;
    Config config;
    describe(ours, config);
    return node.is_mapping() && !node.entries.empty() && node.find("apiVersion") == nullptr &&
           std::ranges::all_of(node.entries, [&](const YamlEntry& entry) {
               return !nearest(entry.key, ours.keys).empty();
           });
}

struct Seen {
    int millrace = 0;
    int routes = 0;
    int others = 0;
};

void check_text(const std::string& text, const std::string& name,
                const std::filesystem::path& folder, Seen& seen);

void check_document(const YamlNode& node, const std::string& text, const std::string& name,
                    const std::filesystem::path& folder, Seen& seen) {
    if (is_millrace_document(node)) {
        auto sources = repository_sources();
        const auto path = (folder / "document-under-test.yaml").string();
        sources.read_file = [&, real = sources.read_file](const std::string& file) {
            return file == path ? std::optional(text) : real(file);
        };
        const auto result = load(path, sources);
        EXPECT_TRUE(result.loaded) << name << "\n" << dump(errors_of(result.problems));
        ++seen.millrace;
        return;
    }
    const auto* kind = node.find("kind");
    if (kind != nullptr && kind->value.scalar == "HTTPRoute") {
        Report report(name);
        EXPECT_FALSE(read_manifest(text, {}, report).empty());
        EXPECT_THAT(errors_of(report.take()), testing::IsEmpty()) << name;
        ++seen.routes;
        return;
    }
    ++seen.others;
    const auto* data = node.find("data");
    if (kind != nullptr && kind->value.scalar == "ConfigMap" && data != nullptr) {
        for (const auto& entry : data->value.entries) {
            if (entry.key.ends_with(".yaml")) {
                check_text(entry.value.scalar, name + " " + entry.key, folder, seen);
            }
        }
    }
}

void check_text(const std::string& text, const std::string& name,
                const std::filesystem::path& folder, Seen& seen) {
    Report report(name);
    const auto documents = read_yaml(text, report);
    EXPECT_THAT(errors_of(report.take()), testing::IsEmpty()) << name;
    for (const auto& document : documents) {
        check_document(document, text, name, folder, seen);
    }
}

std::vector<std::filesystem::path> files_below(const char* folder, const char* extension) {
    std::vector<std::filesystem::path> paths;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(kRoot / folder)) {
        if (entry.path().extension() == extension) {
            paths.push_back(entry.path());
        }
    }
    std::ranges::sort(paths);
    return paths;
}

/// The contents of the ```yaml fences of a Markdown file.
std::vector<std::string> yaml_blocks(const std::string& text) {
    std::vector<std::string> blocks;
    constexpr std::string_view kOpen = "```yaml\n";
    for (auto at = text.find(kOpen); at != std::string::npos; at = text.find(kOpen, at)) {
        at += kOpen.size();
        const auto end = text.find("\n```", at);
        blocks.push_back(text.substr(at, end - at) + "\n");
    }
    return blocks;
}

TEST(Documents, EveryYamlUnderDeployIsRead) {
    Seen seen;
    for (const auto& path : files_below("deploy", ".yaml")) {
        check_text(read_whole(path), path.string(), path.parent_path(), seen);
    }
    EXPECT_GE(seen.millrace, 2);
    EXPECT_GE(seen.routes, 1);
    EXPECT_GE(seen.others, 3);
}

TEST(Documents, EveryYamlBlockInTheDocsIsRead) {
    Seen seen;
    auto paths = files_below("docs", ".md");
    if (std::filesystem::exists(kRoot / "README.md")) {
        paths.push_back(kRoot / "README.md");
    }
    for (const auto& path : paths) {
        for (const auto& block : yaml_blocks(read_whole(path))) {
            check_text(block, path.string() + "\n" + block, kRoot / "deploy/examples", seen);
        }
    }
    EXPECT_GE(seen.millrace, 3);
}

TEST(Documents, QuickstartLoadsWithoutAnyOtherFile) {
    const auto result =
        load((kRoot / "deploy/examples/quickstart.yaml").string(), system_sources());
    ASSERT_TRUE(result.loaded) << dump(result.problems);
    EXPECT_EQ(result.loaded->files.size(), 1U);
    EXPECT_EQ(result.loaded->config.models.size(), 3U);
    EXPECT_EQ(result.problems.size(), 1U) << dump(result.problems);  // no authentication
}

TEST(Documents, ProductionLoadsItsRoutesWithoutAWarning) {
    const auto result =
        load((kRoot / "deploy/examples/production.yaml").string(), repository_sources());
    ASSERT_TRUE(result.loaded) << dump(result.problems);
    EXPECT_EQ(result.loaded->routes.size(), 1U);
    EXPECT_EQ(dump(result.problems), "");
}

}  // namespace
}  // namespace millrace::config
