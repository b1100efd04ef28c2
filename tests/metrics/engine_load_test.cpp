#include "metrics/engine_load.hpp"

#include <gtest/gtest.h>

namespace millrace::metrics {
namespace {

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

TEST(EngineLoad, IsEmptyWhereTheServerSaysNothing) {
    EXPECT_EQ(vllm_load(parse_scrape("")), EngineLoad{});
    EXPECT_EQ(vllm_load(parse_scrape("vllm:num_requests_waiting NaN\n")), EngineLoad{});
    // One engine that reports NaN does not hide the other.
    EXPECT_EQ(vllm_load(parse_scrape("vllm:num_requests_waiting{engine=\"0\"} NaN\n"
                                     "vllm:num_requests_waiting{engine=\"1\"} 4\n"))
                  .waiting,
              4);
}

}  // namespace
}  // namespace millrace::metrics
