// Rules about the sources themselves: include arrows, mirrored tests, sizes, headers, words, and
// what pure code may call. Every rule reports all places that break it. Adding a rule here is the
// way to keep it.
#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

namespace millrace::lint {
namespace {

namespace fs = std::filesystem;

struct Source {
    fs::path path;  ///< relative to the root
    std::vector<std::string> lines;
    std::string top() const { return path.begin()->string(); }
    bool is_test() const { return top() == "tests"; }
    bool is_header() const { return path.extension() == ".hpp"; }
};

const fs::path& root() {
    static const fs::path path = MILLRACE_SOURCE_DIR;
    return path;
}

std::vector<std::string> read_lines(const fs::path& path) {
    std::ifstream file(path);
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) {
        lines.push_back(line);
    }
    return lines;
}

const std::vector<Source>& sources() {
    static const std::vector<Source> all = [] {
        std::vector<Source> found;
        for (const auto* top :
             {"config", "metrics", "routing", "scaling", "gateway", "bench", "tests"}) {
            if (!fs::exists(root() / top)) {
                continue;
            }
            for (const auto& entry : fs::recursive_directory_iterator(root() / top)) {
                const auto extension = entry.path().extension();
                if (entry.is_regular_file() && (extension == ".cpp" || extension == ".hpp")) {
                    found.push_back({fs::relative(entry.path(), root()), read_lines(entry.path())});
                }
            }
        }
        std::ranges::sort(found, {}, &Source::path);
        return found;
    }();
    return all;
}

std::string place(const Source& source, std::size_t line, std::string_view what) {
    return source.path.string() + ':' + std::to_string(line + 1) + ": " + std::string(what) + '\n';
}

/// The path inside `#include "…"` or `<…>`, or empty.
std::string_view included(std::string_view line) {
    if (!line.starts_with("#include")) {
        return {};
    }
    const auto open = line.find_first_of("\"<");
    const auto close = line.find_last_of("\">");
    return open == std::string_view::npos || close <= open
               ? std::string_view{}
               : line.substr(open + 1, close - open - 1);
}

TEST(Lint, SeesTheSources) {
    EXPECT_GT(sources().size(), 50U);
}

TEST(Lint, IncludesFollowTheArrows) {
    const std::map<std::string, std::set<std::string>> allowed{
        {"config", {"config"}},
        {"metrics", {"metrics", "config"}},
        {"routing", {"routing", "metrics", "config"}},
        {"scaling", {"scaling", "metrics", "config"}},
        {"gateway", {"gateway", "routing", "scaling", "metrics", "config"}},
        {"bench", {"bench", "gateway", "routing", "scaling", "metrics", "config"}},
        {"tests", {"tests", "bench", "gateway", "routing", "scaling", "metrics", "config"}}};
    const std::set<std::string> ours{"config",  "metrics", "routing", "scaling",
                                     "gateway", "bench",   "tests"};
    std::string broken;
    for (const auto& source : sources()) {
        for (std::size_t i = 0; i < source.lines.size(); ++i) {
            const auto path = included(source.lines[i]);
            const auto top = std::string(path.substr(0, path.find('/')));
            if (path.contains('/') && ours.contains(top) &&
                !allowed.at(source.top()).contains(top)) {
                broken += place(source, i, "must not include " + std::string(path));
            }
        }
    }
    EXPECT_TRUE(broken.empty()) << broken;
}

TEST(Lint, ConfigBaseIncludesNothingOfTheRestOfConfig) {
    std::string broken;
    for (const auto& source : sources()) {
        for (std::size_t i = 0;
             source.path.string().starts_with("config/base/") && i < source.lines.size(); ++i) {
            const auto path = included(source.lines[i]);
            if (path.starts_with("config/") && !path.starts_with("config/base/")) {
                broken += place(source, i, "config/base must not include " + std::string(path));
            }
        }
    }
    EXPECT_TRUE(broken.empty()) << broken;
}

bool is_pure(const Source& source) {
    const auto top = source.top();
    return top == "config" || top == "metrics" || top == "routing" || top == "scaling";
}

TEST(Lint, PureFoldersKnowNoSocketsNoClocksAndNoRandomness) {
    std::string broken;
    for (const auto& source : sources()) {
        if (!is_pure(source) || source.path == "config/base/clock.hpp") {
            continue;
        }
        for (std::size_t i = 0; i < source.lines.size(); ++i) {
            const std::string_view line = source.lines[i];
            const auto code = line.substr(0, line.find("//"));
            const auto path = included(line);
            if (path.starts_with("boost/beast") || path.starts_with("boost/asio") ||
                path.starts_with("openssl/") || path.starts_with("sys/socket") ||
                path.starts_with("grpc")) {
                broken += place(source, i, "pure code must not include " + std::string(path));
            }
            for (const std::string_view call :
                 {"_clock::now()", "std::rand(", "std::random_device", "std::mt19937",
                  "gettimeofday(", "clock_gettime(", "std::time("}) {
                if (code.contains(call)) {
                    broken += place(source, i,
                                    "time and randomness are arguments, not " + std::string(call));
                }
            }
        }
    }
    EXPECT_TRUE(broken.empty()) << broken;
}

/// A unit split over files (`manifest_match.cpp`, `manifest_filters.cpp`) may share the test of its
/// first words.
bool has_mirror(const fs::path& source) {
    auto stem = source.stem().string();
    for (;;) {
        auto mirror = fs::path("tests") / source;
        mirror.replace_filename(stem + "_test.cpp");
        if (fs::exists(root() / mirror)) {
            return true;
        }
        const auto underscore = stem.rfind('_');
        if (underscore == std::string::npos) {
            return false;
        }
        stem.resize(underscore);
    }
}

TEST(Lint, EveryPureSourceHasAMirroredTest) {
    std::string missing;
    for (const auto& source : sources()) {
        if (!source.is_header() && is_pure(source) && !has_mirror(source.path)) {
            missing += source.path.string() + " has no test under tests/" +
                       source.path.parent_path().string() + '\n';
        }
    }
    EXPECT_TRUE(missing.empty()) << missing;
}

TEST(Lint, FilesStaySmall) {
    std::string broken;
    std::size_t total = 0;
    std::size_t over_300 = 0;
    for (const auto& source : sources()) {
        const std::size_t limit = source.is_test() ? 700 : 500;
        if (source.lines.size() > limit) {
            broken += place(source, limit,
                            std::to_string(source.lines.size()) + " lines, the limit is " +
                                std::to_string(limit));
        }
        if (!source.is_test()) {
            ++total;
            over_300 += source.lines.size() > 300;
        }
    }
    EXPECT_TRUE(broken.empty()) << broken;
    EXPECT_LE(over_300 * 10, total)
        << over_300 << " of " << total << " files have more than 300 lines; 10 % may";
}

TEST(Lint, NoWordsOfUnfinishedWork) {
    // Spelt apart, so that this file does not find itself.
    const std::vector<std::string> words{std::string("TO") + "DO", std::string("FIX") + "ME",
                                         std::string("X") + "XX", std::string("HA") + "CK"};
    const auto is_word_char = [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
    };
    std::string broken;
    for (const auto& source : sources()) {
        for (std::size_t i = 0; i < source.lines.size(); ++i) {
            const auto& line = source.lines[i];
            for (const auto& word : words) {
                const auto at = line.find(word);
                if (at != std::string::npos && (at == 0 || !is_word_char(line[at - 1])) &&
                    (at + word.size() == line.size() || !is_word_char(line[at + word.size()]))) {
                    broken += place(source, i, word);
                }
            }
        }
    }
    EXPECT_TRUE(broken.empty()) << broken;
}

TEST(Lint, EveryHeaderSaysWhatItIsAndGuardsItself) {
    std::string broken;
    for (const auto& source : sources()) {
        if (!source.is_header()) {
            continue;
        }
        std::size_t prose = 0;
        while (prose < source.lines.size() && source.lines[prose].starts_with("//")) {
            ++prose;
        }
        std::string paragraph;
        for (std::size_t i = 0; i < prose; ++i) {
            paragraph += source.lines[i];
        }
        if (prose == 0) {
            broken += place(source, 0, "does not open with a paragraph that says what it is");
        } else if (!paragraph.contains("hread-safe") && source.top() != "bench" &&
                   !source.is_test() && source.path.parent_path() != "config/base") {
            broken += place(source, 0, "the opening paragraph says nothing about thread-safety");
        }
        if (std::ranges::count(source.lines, "#pragma once") != 1) {
            broken += place(source, 0, "needs one #pragma once");
        }
    }
    EXPECT_TRUE(broken.empty()) << broken;
}

TEST(Lint, LinesHaveNoTabsAndNoTrailingSpace) {
    std::string broken;
    for (const auto& source : sources()) {
        for (std::size_t i = 0; i < source.lines.size(); ++i) {
            const auto& line = source.lines[i];
            if (!line.empty() &&
                (line.back() == ' ' || line.back() == '\t' || line.back() == '\r')) {
                broken += place(source, i, "ends in white space");
            }
            if (line.contains('\t')) {
                broken += place(source, i, "contains a tab");
            }
        }
    }
    EXPECT_TRUE(broken.empty()) << broken;
}

std::vector<fs::path> yaml_files(const char* folder) {
    std::vector<fs::path> found;
    if (!fs::exists(root() / folder)) {
        return found;
    }
    for (const auto& entry : fs::recursive_directory_iterator(root() / folder)) {
        const auto extension = entry.path().extension();
        // Templates of a Helm chart are YAML only after rendering.
        if (entry.is_regular_file() && (extension == ".yaml" || extension == ".yml") &&
            !entry.path().string().contains("/templates/")) {
            found.push_back(entry.path());
        }
    }
    return found;
}

TEST(Lint, EveryYamlUnderDeployAndDocsParses) {
    for (const auto* folder : {"deploy", "docs"}) {
        for (const auto& file : yaml_files(folder)) {
            EXPECT_NO_THROW(static_cast<void>(YAML::LoadAllFromFile(file.string()))) << file;
        }
    }
}

}  // namespace
}  // namespace millrace::lint
