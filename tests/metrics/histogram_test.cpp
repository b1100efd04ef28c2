#include "metrics/histogram.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "config/base/random.hpp"

namespace millrace::metrics {
namespace {

template <const auto& Bounds>
std::size_t linear(std::uint64_t ns) {
    std::size_t bucket = 0;
    while (bucket < Bounds.size() && ns > Bounds[bucket]) {
        ++bucket;
    }
    return bucket;
}

template <const auto& Bounds>
void agrees_with_linear_search() {
    using Subject = Histogram<Bounds>;
    for (const std::uint64_t bound : Bounds) {
        for (const std::uint64_t ns : {bound - 1, bound, bound + 1}) {
            ASSERT_EQ(Subject::bucket_of(ns), linear<Bounds>(ns)) << ns;
        }
    }
    for (unsigned bit = 0; bit < 64; ++bit) {
        const std::uint64_t power = std::uint64_t{1} << bit;
        for (const std::uint64_t ns : {power - 1, power, power + 1}) {
            ASSERT_EQ(Subject::bucket_of(ns), linear<Bounds>(ns)) << ns;
        }
    }
    ASSERT_EQ(Subject::bucket_of(std::numeric_limits<std::uint64_t>::max()), Bounds.size());
    Random random(7);
    for (int i = 0; i < 20'000; ++i) {
        const std::uint64_t ns = random() >> random.below(64);
        ASSERT_EQ(Subject::bucket_of(ns), linear<Bounds>(ns)) << ns;
    }
}

TEST(Histogram, FindsTheBucketThatALinearSearchFindsAtEveryEdge) {
    agrees_with_linear_search<kFirstTokenBounds>();
    agrees_with_linear_search<kInterTokenBounds>();
    agrees_with_linear_search<kRequestBounds>();
    agrees_with_linear_search<kQueueWaitBounds>();
    agrees_with_linear_search<kOverheadBounds>();
    agrees_with_linear_search<kLoopLagBounds>();
}

TEST(Histogram, IncludesABoundInItsOwnBucket) {
    Histogram<kOverheadBounds> histogram;
    histogram.observe(Duration(10'000));
    histogram.observe(Duration(10'001));
    EXPECT_EQ(histogram.bucket(0), 1U);
    EXPECT_EQ(histogram.bucket(1), 1U);
    EXPECT_EQ(histogram.sum_ns(), 20'001U);
}

TEST(Histogram, CountsANegativeDurationAsZeroAndAHugeOneInTheLastBucket) {
    Histogram<kOverheadBounds> histogram;
    histogram.observe(Duration(-5));
    histogram.observe(Duration::max());
    EXPECT_EQ(histogram.bucket(0), 1U);
    EXPECT_EQ(histogram.bucket(kOverheadBounds.size()), 1U);
    EXPECT_EQ(histogram.sum_ns(), static_cast<std::uint64_t>(Duration::max().count()));
}

}  // namespace
}  // namespace millrace::metrics
