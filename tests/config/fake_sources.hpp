// Files and environment that live in the test, and documents whose expected place is marked with
// `@@`.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/load.hpp"

namespace millrace::config::test {

struct FakeSources {
    std::map<std::string, std::string> files;
    std::map<std::string, std::string> environment;

    Sources sources() const {
        return {
            [this](const std::string& path) { return lookup(files, path); },
            [this](const std::string& pattern) { return expand(pattern); },
            [this](const std::string& name) { return lookup(environment, name); },
        };
    }

    static std::optional<std::string> lookup(const std::map<std::string, std::string>& map,
                                             const std::string& key) {
        const auto found = map.find(key);
        return found == map.end() ? std::nullopt : std::optional(found->second);
    }

    /// At most one star.
    std::vector<std::string> expand(const std::string& pattern) const {
        const auto star = pattern.find('*');
        std::vector<std::string> paths;
        for (const auto& [path, contents] : files) {
            if (star == std::string::npos ? path == pattern
                                          : path.starts_with(pattern.substr(0, star)) &&
                                                path.ends_with(pattern.substr(star + 1))) {
                paths.push_back(path);
            }
        }
        return paths;
    }
};

struct Marked {
    std::string text;
    int line = 0;  ///< of the mark; 0 = none
    int column = 0;
};

inline Marked unmark(std::string text) {
    const auto mark = text.find("@@");
    if (mark == std::string::npos) {
        return {std::move(text), 0, 0};
    }
    const auto before = std::string_view(text).substr(0, mark);
    const auto line = static_cast<int>(std::ranges::count(before, '\n')) + 1;
    const auto column = static_cast<int>(mark - (before.rfind('\n') + 1)) + 1;
    text.erase(mark, 2);
    return {std::move(text), line, column};
}

inline LoadResult load_text(const std::string& text, FakeSources fake = {}) {
    fake.files["/etc/millrace/millrace.yaml"] = text;
    return load("/etc/millrace/millrace.yaml", fake.sources());
}

inline std::vector<Problem> errors_of(const std::vector<Problem>& problems) {
    std::vector<Problem> errors;
    std::ranges::copy_if(problems, std::back_inserter(errors),
                         [](const Problem& p) { return p.severity == Severity::error; });
    return errors;
}

/// All problems as text, one a line: what a failing test should show.
inline std::string dump(const std::vector<Problem>& problems) {
    std::string text;
    for (const auto& problem : problems) {
        text += to_string(problem) + "\n";
    }
    return text;
}

/// A document (with its mark) and the one problem that it has.
struct Case {
    const char* text;
    const char* path;
    const char* message;  ///< part of it
    const char* suggestion = "";
};

inline void expect_one_error(const Case& expected, const std::string& marked,
                             const FakeSources& fake) {
    const auto [text, line, column] = unmark(marked);
    const auto result = load_text(text, fake);
    EXPECT_FALSE(result.loaded);
    const auto errors = errors_of(result.problems);
    ASSERT_EQ(errors.size(), 1U) << text << dump(result.problems);
    EXPECT_EQ(errors[0].file, "/etc/millrace/millrace.yaml");
    EXPECT_EQ(errors[0].line, line) << dump(errors);
    EXPECT_EQ(errors[0].column, column) << dump(errors);
    EXPECT_EQ(errors[0].path, expected.path);
    EXPECT_THAT(errors[0].message, testing::HasSubstr(expected.message));
    EXPECT_EQ(errors[0].suggestion, expected.suggestion);
}

}  // namespace millrace::config::test
