// Strong ids: small integers that cannot be mixed up. Interned once per process and never reused,
// so that a series or an endpoint generation that outlives a reload still means the same thing.
// Thread-safety: plain values.
#pragma once

#include <compare>
#include <cstdint>
#include <limits>

namespace millrace {

template <class Tag>
struct StrongId {
    std::uint32_t value = std::numeric_limits<std::uint32_t>::max();

    constexpr bool valid() const { return value != std::numeric_limits<std::uint32_t>::max(); }
    constexpr auto operator<=>(const StrongId&) const = default;
};

}  // namespace millrace
