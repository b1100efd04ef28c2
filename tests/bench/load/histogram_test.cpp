#include "bench/load/histogram.hpp"

#include <gtest/gtest.h>

namespace millrace::load {
namespace {

TEST(Histogram, IsExactForSmallValues) {
    Histogram histogram;
    for (int i = 1; i <= 200; ++i) {
        histogram.record(Duration(i));
    }
    EXPECT_EQ(histogram.count(), 200U);
    EXPECT_EQ(histogram.percentile(0.5), Duration(100));
    EXPECT_EQ(histogram.percentile(0.99), Duration(198));
    EXPECT_EQ(histogram.percentile(1), Duration(200));
    EXPECT_EQ(histogram.mean(), Duration(100));
}

TEST(Histogram, StaysWithinOnePercentOverTheWholeRange) {
    for (std::int64_t value = 1; value < 4'000'000'000'000; value = value * 7 / 5 + 1) {
        Histogram histogram;
        histogram.record(Duration(value));
        histogram.record(Duration(value * 2 + 1));
        const auto p50 = histogram.percentile(0.5).count();
        EXPECT_GE(p50, value);
        EXPECT_LE(static_cast<double>(p50), static_cast<double>(value) * 1.008) << value;
        EXPECT_EQ(histogram.percentile(1), Duration(value * 2 + 1));
        EXPECT_EQ(histogram.max(), Duration(value * 2 + 1));
    }
}

TEST(Histogram, CountsNegativeValuesAsZero) {
    Histogram histogram;
    histogram.record(Duration(-5));
    EXPECT_EQ(histogram.count(), 1U);
    EXPECT_EQ(histogram.percentile(0.5), Duration::zero());
}

TEST(Histogram, IsZeroWhenEmpty) {
    const Histogram histogram;
    EXPECT_EQ(histogram.percentile(0.99), Duration::zero());
    EXPECT_EQ(histogram.mean(), Duration::zero());
}

}  // namespace
}  // namespace millrace::load
