#include "metrics/text_format.hpp"

#include <gtest/gtest.h>
#include <prometheus/metric_family.h>

#include <cmath>
#include <limits>

namespace millrace::metrics {
namespace {

TEST(Exposition, WritesNumbersWithoutExponentsAndNamesWhatIsNotFinite) {
    const std::pair<double, const char*> cases[] = {{0, "0"},
                                                    {-0.5, "-0.5"},
                                                    {1'000'000, "1000000"},
                                                    {9'007'199'254'740'993.0, "9007199254740992"},
                                                    {0.1, "0.1"},
                                                    {0.00001, "0.00001"},
                                                    {1e300, "1e+300"},
                                                    {HUGE_VAL, "+Inf"},
                                                    {-HUGE_VAL, "-Inf"},
                                                    {std::nan(""), "NaN"}};
    for (const auto& [value, expected] : cases) {
        std::string out;
        append_number(out, value);
        EXPECT_EQ(out, expected);
    }
}

prometheus::MetricFamily family(std::string name, prometheus::MetricType type) {
    prometheus::MetricFamily made;
    made.name = std::move(name);
    made.help = "Some help.";
    made.type = type;
    made.metric.emplace_back();
    return made;
}

TEST(TextFormat, WritesHelpTypeAndOneLinePerSample) {
    auto counter = family("c_total", prometheus::MetricType::Counter);
    counter.metric[0].label = {{"a", "1"}, {"b", "2"}};
    counter.metric[0].counter.value = 7;
    counter.metric.emplace_back().counter.value = 8;
    auto gauge = family("g", prometheus::MetricType::Gauge);
    gauge.metric[0].gauge.value = -0.5;
    EXPECT_EQ(to_text({counter, gauge}),
              "# HELP c_total Some help.\n# TYPE c_total counter\n"
              "c_total{a=\"1\",b=\"2\"} 7\nc_total 8\n"
              "# HELP g Some help.\n# TYPE g gauge\ng -0.5\n");
    EXPECT_EQ(to_text({}), "");
}

TEST(TextFormat, EscapesBackslashQuoteAndLineEndInLabelValues) {
    auto gauge = family("g", prometheus::MetricType::Gauge);
    gauge.metric[0].label = {{"l", "a\\b\"c\nd"}};
    EXPECT_NE(to_text({gauge}).find("g{l=\"a\\\\b\\\"c\\nd\"} 0\n"), std::string::npos);
}

TEST(TextFormat, PutsTheBoundOfABucketBehindTheOtherLabels) {
    auto histogram = family("h", prometheus::MetricType::Histogram);
    auto& metric = histogram.metric[0];
    metric.label = {{"m", "x"}};
    metric.histogram.bucket = {
        {.cumulative_count = 2, .upper_bound = 0.5},
        {.cumulative_count = 3, .upper_bound = std::numeric_limits<double>::infinity()}};
    metric.histogram.sample_count = 3;
    metric.histogram.sample_sum = 1.25;
    EXPECT_EQ(to_text({histogram}),
              "# HELP h Some help.\n# TYPE h histogram\n"
              "h_bucket{m=\"x\",le=\"0.5\"} 2\nh_bucket{m=\"x\",le=\"+Inf\"} 3\n"
              "h_sum{m=\"x\"} 1.25\nh_count{m=\"x\"} 3\n");
    metric.label.clear();
    EXPECT_NE(to_text({histogram}).find("h_bucket{le=\"0.5\"} 2\n"), std::string::npos);
}

}  // namespace
}  // namespace millrace::metrics
