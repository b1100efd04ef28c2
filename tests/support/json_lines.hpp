// A log of one JSON document per line. Thread-safety: a free function without state.
#pragma once

#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace millrace::test {

/// Every complete line; one that is still being written is left out, one that is not JSON throws.
inline std::vector<nlohmann::json> json_lines(std::string_view text) {
    std::vector<nlohmann::json> lines;
    for (auto end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
        lines.push_back(nlohmann::json::parse(text.substr(0, end)));
        text.remove_prefix(end + 1);
    }
    return lines;
}

}  // namespace millrace::test
