// Money. Part of config/model.hpp. Thread-safety: plain values.
#pragma once

#include <cstdint>

namespace millrace::config {

/// An amount of money, `0.15` in YAML.
struct Dollars {
    std::uint64_t millionths = 0;
    bool operator==(const Dollars&) const = default;
};

/// Dollars per million tokens, so millionths of a dollar per token.
struct Price {
    Dollars prompt;
    Dollars completion;
    bool operator==(const Price&) const = default;
};

}  // namespace millrace::config
