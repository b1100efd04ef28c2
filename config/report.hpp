// Collects the problems of one file, and remembers where each path of the document was written, so
// that checks on the finished structs can still say file:line:column. Not thread-safe; lives for
// one load.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "config/load.hpp"

namespace millrace::config {

/// Line and column count from 1; 0 = no place.
struct Place {
    int line = 0;
    int column = 0;
};

class Report {
public:
    explicit Report(std::string file) : file_(std::move(file)) {}

    void error(Place place, std::string path, std::string message, std::string suggestion = {});
    void warning(Place place, std::string path, std::string message, std::string suggestion = {});

    /// Same, at the remembered place of `path` or of its nearest ancestor that was written.
    void error_at(std::string path, std::string message, std::string suggestion = {});
    void warning_at(std::string path, std::string message, std::string suggestion = {});

    void remember(const std::string& path, Place place) { places_.emplace(path, place); }
    Place place_of(std::string_view path) const;

    /// True when `path` itself, or something below it, already has an error: further checks would
    /// only echo it.
    bool failed(std::string_view path) const;
    bool has_errors() const { return !failed_.empty(); }

    const std::string& file() const { return file_; }
    /// The problems in the order of the file.
    std::vector<Problem> take();

private:
    void add(Severity severity, Place place, std::string path, std::string message,
             std::string suggestion);

    std::string file_;
    std::vector<Problem> problems_;
    std::map<std::string, Place, std::less<>> places_;
    std::set<std::string, std::less<>> failed_;  ///< paths with an error
};

/// The nearest candidate within two edits (Damerau-Levenshtein, case ignored), else empty.
std::string_view nearest(std::string_view wrong, const std::vector<std::string_view>& candidates);
/// "did you mean `x`?" for the nearest candidate, else empty.
std::string did_you_mean(std::string_view wrong, const std::vector<std::string_view>& candidates);

/// `text` in backticks, shortened and with control characters replaced, fit for a message.
std::string in_ticks(std::string_view text);

/// `parent.key`, or `parent["key"]` where the key itself contains a dot or bracket.
std::string child_path(std::string_view parent, std::string_view key);
std::string item_path(std::string_view parent, std::size_t index);

}  // namespace millrace::config
