// Histogram: one thread's fixed-bucket histogram of durations; and the bucket layouts of every
// histogram series.
//
// observe() finds the bucket through a table indexed by the position of the highest set bit, then
// adds a few compares: no loop, no division, no lock. Bounds are inclusive (Prometheus `le`) and in
// nanoseconds. The number of observations is the sum of the buckets, so a scrape that races with
// observe() still sees count == last bucket. Thread-safety: one writer; any thread may read.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>

#include "config/base/clock.hpp"
#include "metrics/counter.hpp"

namespace millrace::metrics {

namespace detail {
constexpr std::uint64_t us(std::uint64_t n) {
    return n * 1'000;
}
constexpr std::uint64_t ms(std::uint64_t n) {
    return n * 1'000'000;
}
constexpr std::uint64_t sec(std::uint64_t n) {
    return n * 1'000'000'000;
}
}  // namespace detail

/// vLLM's own buckets for the first token, so that both can be drawn on one graph.
inline constexpr std::array<std::uint64_t, 22> kFirstTokenBounds{
    detail::ms(1),    detail::ms(5),    detail::ms(10),   detail::ms(20),  detail::ms(40),
    detail::ms(60),   detail::ms(80),   detail::ms(100),  detail::ms(250), detail::ms(500),
    detail::ms(750),  detail::sec(1),   detail::ms(2500), detail::sec(5),  detail::ms(7500),
    detail::sec(10),  detail::sec(20),  detail::sec(40),  detail::sec(80), detail::sec(160),
    detail::sec(640), detail::sec(2560)};
inline constexpr std::array<std::uint64_t, 18> kInterTokenBounds{
    detail::ms(1),    detail::ms(2),   detail::ms(5),   detail::ms(10),  detail::ms(15),
    detail::ms(20),   detail::ms(30),  detail::ms(40),  detail::ms(50),  detail::ms(75),
    detail::ms(100),  detail::ms(150), detail::ms(250), detail::ms(500), detail::sec(1),
    detail::ms(2500), detail::sec(5),  detail::sec(10)};
inline constexpr std::array<std::uint64_t, 20> kRequestBounds{
    detail::ms(5),    detail::ms(10),   detail::ms(25),   detail::ms(50),    detail::ms(100),
    detail::ms(250),  detail::ms(500),  detail::sec(1),   detail::ms(2500),  detail::sec(5),
    detail::sec(10),  detail::sec(20),  detail::sec(30),  detail::sec(60),   detail::sec(120),
    detail::sec(240), detail::sec(480), detail::sec(960), detail::sec(1920), detail::sec(7680)};
inline constexpr std::array<std::uint64_t, 17> kQueueWaitBounds{
    detail::us(100),  detail::ms(1),   detail::ms(5),   detail::ms(10),  detail::ms(50),
    detail::ms(100),  detail::ms(250), detail::ms(500), detail::sec(1),  detail::ms(2500),
    detail::sec(5),   detail::sec(10), detail::sec(30), detail::sec(60), detail::sec(120),
    detail::sec(300), detail::sec(600)};
inline constexpr std::array<std::uint64_t, 13> kOverheadBounds{
    detail::us(10),  detail::us(25), detail::us(50),   detail::us(100), detail::us(250),
    detail::us(500), detail::ms(1),  detail::us(2500), detail::ms(5),   detail::ms(10),
    detail::ms(25),  detail::ms(50), detail::ms(100)};
inline constexpr std::array<std::uint64_t, 11> kLoopLagBounds{
    detail::us(50), detail::us(100),  detail::us(250), detail::us(500),
    detail::ms(1),  detail::us(2500), detail::ms(5),   detail::ms(10),
    detail::ms(50), detail::ms(250),  detail::sec(1)};

namespace detail {

/// For every bit width of a value: the first bucket it can fall into. Bounds are strictly
/// ascending.
template <std::size_t N>
struct BucketIndex {
    std::array<std::uint8_t, 65> first{};
    std::size_t widest =
        0;  ///< most bounds inside one power of two = compares needed after the table

    explicit consteval BucketIndex(const std::array<std::uint64_t, N>& bounds) {
        for (std::size_t width = 0; width <= 64; ++width) {
            const std::uint64_t lowest = width == 0 ? 0 : std::uint64_t{1} << (width - 1);
            const std::uint64_t highest = width == 64 ? std::numeric_limits<std::uint64_t>::max()
                                                      : (std::uint64_t{1} << width) - 1;
            std::size_t begin = 0;
            while (begin < N && bounds[begin] < lowest) {
                ++begin;
            }
            std::size_t end = begin;
            while (end < N && bounds[end] < highest) {
                ++end;
            }
            first[width] = static_cast<std::uint8_t>(begin);
            widest = std::max(widest, end - begin);
        }
    }
};

}  // namespace detail

template <const auto& Bounds>
class Histogram {
public:
    static constexpr std::size_t kBounds = Bounds.size();
    static constexpr std::size_t kBuckets = kBounds + 1;  ///< the last one is +Inf

    /// A negative duration (clocks that disagree) counts as 0. About 3 ns.
    void observe(Duration value) noexcept {
        const auto ns =
            value.count() < 0 ? std::uint64_t{0} : static_cast<std::uint64_t>(value.count());
        buckets_[bucket_of(ns)].add();
        sum_ns_.add(ns);
    }

    /// Index of the first bucket whose bound is >= ns.
    static constexpr std::size_t bucket_of(std::uint64_t ns) noexcept {
        const std::size_t begin = kIndex.first[static_cast<std::size_t>(std::bit_width(ns))];
        std::size_t bucket = begin;
        for (std::size_t i = 0; i < kIndex.widest; ++i) {
            bucket += static_cast<std::size_t>(ns > kPadded[begin + i]);
        }
        return bucket;
    }

    std::uint64_t bucket(std::size_t index) const noexcept { return buckets_[index].value(); }
    std::uint64_t sum_ns() const noexcept { return sum_ns_.value(); }

private:
    static constexpr detail::BucketIndex<kBounds> kIndex{Bounds};
    /// The bounds, followed by values that nothing exceeds, so that the compares need no end check.
    static constexpr auto kPadded = [] {
        std::array<std::uint64_t, kBounds + 8> padded{};
        padded.fill(std::numeric_limits<std::uint64_t>::max());
        std::copy(Bounds.begin(), Bounds.end(), padded.begin());
        return padded;
    }();
    static_assert(kIndex.widest <= 8);
    static_assert(std::adjacent_find(Bounds.begin(), Bounds.end(), std::greater_equal<>{}) ==
                  Bounds.end());

    std::array<Counter, kBuckets> buckets_{};
    Counter sum_ns_;
};

}  // namespace millrace::metrics
