#include "metrics/engine_load.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace millrace::metrics {
namespace {

TEST(EngineLoad, IsReadUnderEveryServersNames) {
    struct Case {
        const char* text = "";
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

TEST(EngineLoad, IsEmptyWhereTheServerSaysNothing) {
    EXPECT_EQ(vllm_load(parse_scrape("")), EngineLoad{});
    EXPECT_EQ(vllm_load(parse_scrape("vllm:num_requests_waiting NaN\n")), EngineLoad{});
    // One engine that reports NaN does not hide the other.
    EXPECT_EQ(vllm_load(parse_scrape("vllm:num_requests_waiting{engine=\"0\"} NaN\n"
                                     "vllm:num_requests_waiting{engine=\"1\"} 4\n"))
                  .waiting,
              4);
}

EngineLoad load_of(std::string_view text) {
    return vllm_load(parse_scrape(text));
}

TEST(EngineLoad, SleepIsTheDeepestEngines) {
    constexpr auto kState = [](int engine, std::string_view state, std::string_view value) {
        return "vllm:engine_sleep_state{engine=\"" + std::to_string(engine) + "\",sleep_state=\"" +
               std::string(state) + "\"} " + std::string(value) + "\n";
    };
    const auto awake = kState(0, "awake", "1.0") + kState(0, "weights_offloaded", "0.0") +
                       kState(0, "discard_all", "0.0");
    const auto level1 = kState(1, "awake", "0.0") + kState(1, "weights_offloaded", "1.0") +
                        kState(1, "discard_all", "0.0");
    const auto level2 = kState(2, "awake", "0.0") + kState(2, "weights_offloaded", "0.0") +
                        kState(2, "discard_all", "1.0");
    EXPECT_EQ(load_of(awake).sleep, EngineSleep::awake);
    EXPECT_EQ(load_of(awake + level1).sleep, EngineSleep::offloaded);
    EXPECT_EQ(load_of(level2 + level1 + awake).sleep, EngineSleep::discarded);
    EXPECT_EQ(load_of(kState(0, "awake", "1") + kState(1, "awake", "0")).sleep,
              EngineSleep::offloaded);
    EXPECT_EQ(load_of("sglang:num_queue_reqs 1\n").sleep, std::nullopt);
}

TEST(EngineLoad, TakesTheNewestReportOfAdapters) {
    const auto load = load_of(
        "vllm:lora_requests_info{max_lora=\"2\",running_lora_adapters=\"old\","
        "waiting_lora_adapters=\"\"} 1.7290000001e+09\n"
        "vllm:lora_requests_info{max_lora=\"4\",running_lora_adapters=\"sql, chat,,\","
        "waiting_lora_adapters=\" poems \"} 1.7290000009e+09\n"
        "vllm:lora_requests_info{max_lora=\"2\",running_lora_adapters=\"older\","
        "waiting_lora_adapters=\"\"} 1.7290000005e+09\n");
    EXPECT_EQ(load.lora, (LoraAdapters{{"sql", "chat"}, {"poems"}, 4}));
    EXPECT_EQ(load_of("vllm:lora_requests_info{max_lora=\"many\"} 1\n").lora, LoraAdapters{});
    EXPECT_EQ(load_of("vllm:num_requests_running 1\n").lora, std::nullopt);
}

TEST(EngineLoad, SumsCountersUnderOldAndNewNames) {
    const auto current = load_of(
        "vllm:num_preemptions_total{engine=\"0\"} 2\nvllm:num_preemptions_total{engine=\"1\"} 3\n"
        "vllm:prefix_cache_queries_total 100\nvllm:prefix_cache_hits_total 40\n"
        "vllm:gpu_prefix_cache_queries_total 7\nvllm:gpu_prefix_cache_hits_total 7\n");
    EXPECT_EQ(current.preemptions, 5);
    EXPECT_EQ(current.prefix_queries, 100);
    EXPECT_EQ(current.prefix_hits, 40);
    const auto old =
        load_of("vllm:gpu_prefix_cache_queries_total 70\nvllm:gpu_prefix_cache_hits_total 7\n");
    EXPECT_EQ(old.preemptions, std::nullopt);
    EXPECT_EQ(old.prefix_queries, 70);
    EXPECT_EQ(old.prefix_hits, 7);
    const auto sglang = load_of(
        "sglang:num_retracted_reqs 9\nsglang:num_retracted_requests_total 4\n"
        "sglang:prompt_tokens_total 50\nsglang:cached_tokens_total{cache_source=\"device\"} 20\n"
        "sglang:cached_tokens_total{cache_source=\"host\"} 5\n");
    EXPECT_EQ(sglang.preemptions, 4);
    EXPECT_EQ(sglang.prefix_queries, 50);
    EXPECT_EQ(sglang.prefix_hits, 25);
}

TEST(EngineReport, IsFreshUntilItIsTooOld) {
    using std::chrono::seconds;
    const Instant start{seconds(1000)};
    EngineReport report{.load = {.waiting = 0, .running = 3}, .at = start};
    EXPECT_TRUE(report.fresh(start, seconds(5)));
    EXPECT_TRUE(report.fresh(start + seconds(5), seconds(5)));
    EXPECT_FALSE(report.fresh(start + seconds(5) + Duration(1), seconds(5)));
    EXPECT_TRUE(
        report.fresh(start - seconds(1), seconds(5)));  // read by a thread with an older now
    EXPECT_EQ(report.fresh_waiting(start, seconds(5)), 0);
    EXPECT_EQ(report.fresh_waiting(start + seconds(6), seconds(5)), std::nullopt);
    report.load.waiting.reset();
    EXPECT_EQ(report.fresh_waiting(start, seconds(5)), std::nullopt);
}

}  // namespace
}  // namespace millrace::metrics
