// Test helper: looks values up in rendered exposition text through our own scrape parser.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "metrics/registry.hpp"
#include "metrics/scrape.hpp"

namespace millrace::metrics::testing {

using LabelList = std::vector<std::pair<std::string, std::string>>;

/// The value of the one sample with this name and all of these labels.
inline std::optional<double> value_in(const std::string& text, std::string_view name,
                                      const LabelList& labels) {
    std::optional<double> found;
    for (const Sample& sample : parse_scrape(text).samples) {
        bool matches = sample.name == name;
        for (const auto& [key, wanted] : labels) {
            matches = matches && sample.label(key) == wanted;
        }
        if (matches && found) {
            return std::nullopt;  // ambiguous
        }
        if (matches) {
            found = sample.value;
        }
    }
    return found;
}

inline std::optional<double> value_of(const Registry& registry, std::string_view name,
                                      const LabelList& labels = {}) {
    return value_in(registry.render(), name, labels);
}

}  // namespace millrace::metrics::testing
