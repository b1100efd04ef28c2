#include "metrics/series.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

namespace millrace::metrics {
namespace {

TEST(Series, AreDocumentedInMetricsMd) {
    std::ifstream file(MILLRACE_SOURCE_DIR "/docs/METRICS.md");
    std::ostringstream text;
    text << file.rdbuf();
    EXPECT_TRUE(text.str() == metrics_markdown())
        << "docs/METRICS.md differs from the code. Refresh it with\n"
           "    millrace schema --metrics > docs/METRICS.md";
}

TEST(Series, FollowPrometheusNamingRules) {
    std::set<std::string_view> names;
    for (const SeriesInfo& series : kSeries) {
        EXPECT_TRUE(names.insert(series.name).second) << series.name << " appears twice";
        EXPECT_EQ(series.type == SeriesType::counter, series.name.ends_with("_total"))
            << series.name;
        EXPECT_EQ(series.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_"), series.name.npos);
        if (series.type == SeriesType::histogram) {
            EXPECT_TRUE(series.name.ends_with("_seconds")) << series.name;
        }
        // The help is shown in one table cell and in one line of the exposition.
        EXPECT_EQ(series.help.find_first_of("|\n\\"), series.help.npos) << series.name;
    }
}

}  // namespace
}  // namespace millrace::metrics
