// A gather list is a span of views; these are the two things one does with it besides writing it.
// Thread-safety: pure functions.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace millrace::gateway {

using Pieces = std::span<std::string_view>;

inline std::size_t total_size(std::span<const std::string_view> pieces) {
    std::size_t total = 0;
    for (const auto piece : pieces) {
        total += piece.size();
    }
    return total;
}

/// What is left of `pieces` once `bytes` of them were written; the first piece left is shortened in
/// place.
inline Pieces drop_written(Pieces pieces, std::size_t bytes) {
    while (!pieces.empty() && bytes >= pieces.front().size()) {
        bytes -= pieces.front().size();
        pieces = pieces.subspan(1);
    }
    if (!pieces.empty()) {
        pieces.front().remove_prefix(bytes);
    }
    return pieces;
}

}  // namespace millrace::gateway
