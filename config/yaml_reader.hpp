// A strict reading of YAML into a small tree with places. yaml-cpp 0.7 accepts duplicate keys,
// reads `yes` as a boolean and `"80"` as a number, and expands aliases; this reader refuses
// duplicates, anchors, aliases, merge keys and tags, keeps whether a scalar was quoted, and bounds
// size, depth and node count. Not thread-safe; plain values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/report.hpp"

namespace millrace::config {

constexpr std::size_t kMaxYamlBytes = 1024 * 1024;
constexpr std::size_t kMaxYamlDepth = 64;
constexpr std::size_t kMaxYamlNodes = 1'000'000;

struct YamlEntry;

struct YamlNode {
    enum class Kind : std::uint8_t { null, scalar, sequence, mapping };

    Kind kind = Kind::null;
    bool quoted = false;  ///< a scalar in quotes, or a block scalar: always text
    Place place;
    std::string scalar;
    std::vector<YamlNode> items;
    std::vector<YamlEntry> entries;

    bool is_null() const { return kind == Kind::null; }
    bool is_scalar() const { return kind == Kind::scalar; }
    bool is_sequence() const { return kind == Kind::sequence; }
    bool is_mapping() const { return kind == Kind::mapping; }

    const YamlEntry* find(std::string_view key) const;
};

struct YamlEntry {
    std::string key;
    Place place;  ///< of the key
    YamlNode value;
};

/// The documents of the text, in order. After a syntax error the result is empty and `report` says
/// where.
std::vector<YamlNode> read_yaml(std::string_view text, Report& report);

}  // namespace millrace::config
