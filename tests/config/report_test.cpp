#include "config/report.hpp"

#include <gtest/gtest.h>

namespace millrace::config {
namespace {

TEST(DidYouMean, FindsOneAndTwoEdits) {
    const std::vector<std::string_view> keys = {"weight", "backend", "served_name", "name"};
    EXPECT_EQ(did_you_mean("wieght", keys), "did you mean `weight`?");  // transposed: one edit
    EXPECT_EQ(did_you_mean("weights", keys), "did you mean `weight`?");
    EXPECT_EQ(did_you_mean("bakcned", keys), "did you mean `backend`?");
    EXPECT_EQ(did_you_mean("servedname", keys), "did you mean `served_name`?");
    EXPECT_EQ(did_you_mean("nmae", keys), "did you mean `name`?");
}

TEST(DidYouMean, IsSilentWhenNothingIsNear) {
    EXPECT_EQ(did_you_mean("priority", {"weight", "backend"}), "");
    EXPECT_EQ(did_you_mean("xy", {"on"}), "");  // two edits of two letters
    EXPECT_EQ(did_you_mean("", {"on"}), "");
    EXPECT_EQ(did_you_mean(std::string(5000, 'a'), {std::string_view("a")}), "");
}

TEST(Report, SortsByPlaceAndKeepsTheOrderOfEquals) {
    Report report("f.yaml");
    report.error({3, 1}, "c", "third");
    report.warning({1, 5}, "a", "first");
    report.error({1, 5}, "a", "second");
    const auto problems = report.take();
    ASSERT_EQ(problems.size(), 3U);
    EXPECT_EQ(problems[0].message, "first");
    EXPECT_EQ(problems[1].message, "second");
    EXPECT_EQ(problems[2].message, "third");
}

TEST(Report, FindsThePlaceOfTheNearestAncestor) {
    Report report("f.yaml");
    report.remember("models", {2, 3});
    report.remember("models[0].variants[1]", {7, 9});
    EXPECT_EQ(report.place_of("models[0].variants[1].weight").line, 7);
    EXPECT_EQ(report.place_of("models[0].id").line, 2);
    EXPECT_EQ(report.place_of("backends").line, 0);
}

TEST(Report, KnowsWhetherAPathOrSomethingBelowItFailed) {
    Report report("f.yaml");
    report.warning({1, 1}, "limits", "only a warning");
    report.error({1, 1}, "models[0].id", "bad");
    EXPECT_TRUE(report.failed("models[0].id"));
    EXPECT_TRUE(report.failed("models[0]"));
    EXPECT_TRUE(report.failed("models"));
    EXPECT_FALSE(report.failed("models[0].i"));
    EXPECT_FALSE(report.failed("model"));
    EXPECT_FALSE(report.failed("limits"));
}

TEST(Problem, IsOneLineWithEverythingInIt) {
    EXPECT_EQ(
        to_string(Problem{Severity::error, "a.yaml", 3, 7, "models[0].weight", "Bad.", "fix"}),
        "a.yaml:3:7: error: models[0].weight: Bad. (fix)");
    EXPECT_EQ(to_string(Problem{Severity::warning, "a.yaml", 0, 0, "", "Empty.", ""}),
              "a.yaml: warning: Empty.");
}

TEST(InTicks, ShortensAndReplacesControlCharacters) {
    EXPECT_EQ(in_ticks("a\nb"), "`a?b`");
    EXPECT_EQ(in_ticks(std::string(200, 'x')).size(), 80 + 2 + std::string_view("…").size());
}

}  // namespace
}  // namespace millrace::config
