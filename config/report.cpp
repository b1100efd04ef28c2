#include "config/report.hpp"

#include <algorithm>
#include <array>
#include <tuple>

#include "config/base/header_field.hpp"

namespace millrace::config {

namespace {

constexpr std::size_t kMaxCompared = 64;     ///< longer words get no suggestion
constexpr std::size_t kMaxCandidates = 500;  ///< so that a huge document is judged in milliseconds

/// Damerau-Levenshtein (optimal string alignment) of two words of at most kMaxCompared characters,
/// whatever their case.
std::size_t edit_distance(std::string_view a, std::string_view b) {
    const auto same = [](char x, char y) { return to_lower(x) == to_lower(y); };
    std::array<std::array<std::size_t, kMaxCompared + 1>, 3> rows{};
    for (std::size_t j = 0; j <= b.size(); ++j) {
        rows[0][j] = j;
    }
    for (std::size_t i = 1; i <= a.size(); ++i) {
        auto& row = rows[i % 3];
        const auto& above = rows[(i + 2) % 3];
        const auto& two_above = rows[(i + 1) % 3];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t change = same(a[i - 1], b[j - 1]) ? 0 : 1;
            row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + change});
            if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1])) {
                row[j] = std::min(row[j], two_above[j - 2] + 1);
            }
        }
    }
    return rows[a.size() % 3][b.size()];
}

}  // namespace

void Report::add(Severity severity, Place place, std::string path, std::string message,
                 std::string suggestion) {
    if (severity == Severity::error) {
        failed_.insert(path);
    }
    problems_.push_back({severity, file_, place.line, place.column, std::move(path),
                         std::move(message), std::move(suggestion)});
}

void Report::error(Place place, std::string path, std::string message, std::string suggestion) {
    add(Severity::error, place, std::move(path), std::move(message), std::move(suggestion));
}

void Report::warning(Place place, std::string path, std::string message, std::string suggestion) {
    add(Severity::warning, place, std::move(path), std::move(message), std::move(suggestion));
}

void Report::error_at(std::string path, std::string message, std::string suggestion) {
    const auto place = place_of(path);
    error(place, std::move(path), std::move(message), std::move(suggestion));
}

void Report::warning_at(std::string path, std::string message, std::string suggestion) {
    const auto place = place_of(path);
    warning(place, std::move(path), std::move(message), std::move(suggestion));
}

Place Report::place_of(std::string_view path) const {
    while (true) {
        if (const auto found = places_.find(path); found != places_.end()) {
            return found->second;
        }
        const auto cut = path.find_last_of(".[");
        if (cut == std::string_view::npos) {
            return {};
        }
        path = path.substr(0, cut);
    }
}

bool Report::failed(std::string_view path) const {
    const auto below = [&](char separator) {
        const auto prefix = std::string(path) + separator;
        const auto next = failed_.lower_bound(prefix);
        return next != failed_.end() && next->starts_with(prefix);
    };
    return failed_.contains(path) || below('.') || below('[');
}

std::vector<Problem> Report::take() {
    // The index keeps the order of equals: libstdc++ 12's stable_sort is deprecated code under
    // clang.
    std::vector<std::tuple<int, int, std::size_t>> order;
    order.reserve(problems_.size());
    for (std::size_t i = 0; i < problems_.size(); ++i) {
        order.emplace_back(problems_[i].line, problems_[i].column, i);
    }
    std::ranges::sort(order);
    std::vector<Problem> sorted;
    sorted.reserve(order.size());
    for (const auto& [line, column, index] : order) {
        sorted.push_back(std::move(problems_[index]));
    }
    problems_.clear();
    return sorted;
}

std::string_view nearest(std::string_view wrong, const std::vector<std::string_view>& candidates) {
    std::string_view best;
    std::size_t best_distance = 3;
    if (candidates.size() > kMaxCandidates) {
        return best;
    }
    for (const auto candidate : candidates) {
        if (wrong.size() > kMaxCompared || candidate.size() > kMaxCompared) {
            continue;
        }
        const auto distance = edit_distance(wrong, candidate);
        // Two edits turn any two-letter word into any other: that is not a typing mistake.
        if (distance < best_distance && distance < std::max(wrong.size(), candidate.size())) {
            best = candidate;
            best_distance = distance;
        }
    }
    return best;
}

std::string did_you_mean(std::string_view wrong, const std::vector<std::string_view>& candidates) {
    const auto best = nearest(wrong, candidates);
    return best.empty() ? "" : "did you mean `" + std::string(best) + "`?";
}

std::string in_ticks(std::string_view text) {
    std::string out = "`";
    for (const char c : text.substr(0, 80)) {
        out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
    }
    out += text.size() > 80 ? "…`" : "`";
    return out;
}

std::string child_path(std::string_view parent, std::string_view key) {
    std::string path(parent);
    if (key.find_first_of(".[]") != std::string_view::npos) {
        return path + "[\"" + std::string(key) + "\"]";
    }
    path += path.empty() ? "" : ".";
    return path += key;
}

std::string item_path(std::string_view parent, std::size_t index) {
    return std::string(parent) + "[" + std::to_string(index) + "]";
}

std::string to_string(const Problem& problem) {
    std::string text = problem.file;
    if (problem.line > 0) {
        text += ":" + std::to_string(problem.line) + ":" + std::to_string(problem.column);
    }
    text += problem.severity == Severity::error ? ": error: " : ": warning: ";
    if (!problem.path.empty()) {
        text += problem.path + ": ";
    }
    text += problem.message;
    if (!problem.suggestion.empty()) {
        text += " (" + problem.suggestion + ")";
    }
    return text;
}

}  // namespace millrace::config
