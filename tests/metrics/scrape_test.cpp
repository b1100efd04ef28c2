#include "metrics/scrape.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace millrace::metrics {
namespace {

Sample only(std::string_view text) {
    const Scrape scrape = parse_scrape(text);
    EXPECT_EQ(scrape.samples.size(), 1U) << text;
    EXPECT_EQ(scrape.bad_lines, 0U) << text;
    return scrape.samples.empty() ? Sample{} : scrape.samples.front();
}

TEST(Scrape, ReadsNamesLabelsValuesAndTimestamps) {
    struct Case {
        std::string_view line;
        std::string_view name;
        double value;
        std::optional<std::int64_t> timestamp;
    };
    const Case cases[] = {
        {"up 1", "up", 1, {}},
        {"up 1\n", "up", 1, {}},
        {"up 1\r\n", "up", 1, {}},
        {"  up\t 1  ", "up", 1, {}},
        {"a:b_c9{} -2.5e3", "a:b_c9", -2500, {}},
        {"a{x=\"1\"}3", "a", 3, {}},
        {"a{x=\"1\",} 3 1700000000123", "a", 3, 1700000000123},
        {"a 3 -5", "a", 3, -5},
        {"a 3 1700000000.5", "a", 3, 1700000000500},
        {"a +Inf", "a", HUGE_VAL, {}},
        {"a -Inf", "a", -HUGE_VAL, {}},
        {"a +4", "a", 4, {}},
        {"a 1e999", "a", HUGE_VAL, {}},
        {"a 1e-999", "a", 0, {}},
        {"a { x = \"1\" , y = \"2\" } 7 # {trace_id=\"k\"} 0.5 1.2", "a", 7, {}},
        {"a_bucket{le=\"1\"} 4 123 # {t=\"}\"} 1", "a_bucket", 4, 123},
    };
    for (const Case& c : cases) {
        const Sample sample = only(c.line);
        EXPECT_EQ(sample.name, c.name) << c.line;
        EXPECT_EQ(sample.value, c.value) << c.line;
        EXPECT_EQ(sample.timestamp_ms, c.timestamp) << c.line;
    }
    EXPECT_TRUE(std::isnan(only("a NaN").value));
}

TEST(Scrape, DecodesLabelValues) {
    const std::string_view line =
        R"(m{model_name="meta/llama \"3\"",path="C:\\x",text="a\nb",odd="\d",brace="}{,=#",empty=""} 1)";
    const Sample sample = only(line);
    EXPECT_EQ(sample.label("model_name"), "meta/llama \"3\"");
    EXPECT_EQ(sample.label("path"), "C:\\x");
    EXPECT_EQ(sample.label("text"), "a\nb");
    EXPECT_EQ(sample.label("odd"), "\\d");
    EXPECT_EQ(sample.label("brace"), "}{,=#");
    EXPECT_EQ(sample.label("empty"), "");
    EXPECT_EQ(sample.label("name"), std::nullopt);
    EXPECT_EQ(only("m 1").label("x"), std::nullopt);
}

TEST(Scrape, SkipsAndCountsLinesThatBreakTheGrammar) {
    const char* const bad[] = {"1up 1",        "up",         "up x",        "up 1 2 3",
                               "up{x} 1",      "up{x=1} 1",  "up{x=\"1} 1", "up{x=\"1\" y=\"2\"} 1",
                               "up{x=\"1\" 1", "up{,} 1",    "{x=\"1\"} 1", "up +-1",
                               "up 1 x",       "up-x 1",     "up 1e",       "up{x=\"1\\\"} 1",
                               "up ++1",       "up 1 1e300", "up {x=\"1\"", "up 0x1"};
    for (const char* line : bad) {
        const Scrape scrape =
            parse_scrape("# HELP ok fine\nok 1\n" + std::string(line) + "\nok 2\n");
        EXPECT_EQ(scrape.samples.size(), 2U) << line;
        EXPECT_EQ(scrape.bad_lines, 1U) << line;
        EXPECT_EQ(scrape.first_bad_line, 3U) << line;
    }
    EXPECT_TRUE(parse_scrape("").samples.empty());
    EXPECT_EQ(parse_scrape("\n\n# only comments\n# EOF").bad_lines, 0U);
}

}  // namespace
}  // namespace millrace::metrics
