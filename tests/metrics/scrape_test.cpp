#include "metrics/scrape.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "metrics/engine_load.hpp"

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

TEST(EngineLoad, IsReadUnderEveryServersNames) {
    struct Case {
        const char* text;
        EngineLoad expected;
    };
    const Case cases[] = {
        {"vllm:num_requests_waiting{model_name=\"m\",engine=\"0\"} 3\n"
         "vllm:num_requests_waiting{model_name=\"m\",engine=\"1\"} 4\n"
         "vllm:num_requests_running{engine=\"0\"} 10\nvllm:num_requests_running{engine=\"1\"} 20\n"
         "vllm:kv_cache_usage_perc{engine=\"0\"} 0.25\nvllm:kv_cache_usage_perc{engine=\"1\"} "
         "0.75\n",
         {7, 30, 0.75}},
        {"vllm:gpu_cache_usage_perc 0.5\nvllm:num_requests_waiting 0.0\n", {0, {}, 0.5}},
        {"vllm:gpu_cache_usage_perc 0.5\nvllm:kv_cache_usage_perc 0.6\n", {{}, {}, 0.6}},
        {"vllm:num_requests_waiting_by_reason{reason=\"capacity\"} 2\n"
         "vllm:num_requests_waiting_by_reason{reason=\"deferred\"} 1\n",
         {3, {}, {}}},
        {"vllm:num_requests_waiting 5\nvllm:num_requests_waiting_by_reason{reason=\"capacity\"} "
         "5\n",
         {5, {}, {}}},
        {"sglang:num_queue_reqs 1\nsglang:num_running_reqs 2\nsglang:token_usage 0.1\n",
         {1, 2, 0.1}},
        {"trtllm_num_requests_waiting 1\ntrtllm_num_requests_running 2\n"
         "trtllm_kv_cache_utilization 0.3\n",
         {1, 2, 0.3}},
        {"nv_trt_llm_request_metrics{request_type=\"waiting\"} 4\n"
         "nv_trt_llm_request_metrics{request_type=\"scheduled\"} 5\n"
         "nv_trt_llm_request_metrics{request_type=\"max\"} 512\n"
         "nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type=\"fraction\"} 0.4\n"
         "nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type=\"max\"} 4000\n",
         {4, 5, 0.4}},
        {"vllm:num_requests_waiting NaN\nsomething_else 3\n", {}},
    };
    for (const Case& c : cases) {
        EXPECT_EQ(vllm_load(parse_scrape(c.text)), c.expected) << c.text;
    }
}

}  // namespace
}  // namespace millrace::metrics
