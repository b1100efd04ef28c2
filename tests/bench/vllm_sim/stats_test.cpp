#include "bench/vllm_sim/stats.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::vllm_sim {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Stats, SumsTheLoopsUnderVllmsNames) {
    LoopStats a;
    LoopStats b;
    a.prompt_tokens.add(3);
    b.prompt_tokens.add(4);
    a.running.add(2);
    b.kv_usage.set(0.25);
    a.ttft.observe(kTtftBuckets, 0.003);
    b.ttft.observe(kTtftBuckets, 9999);
    const std::string page = render_metrics({&a, &b}, {"m\"1", false, 0});
    EXPECT_THAT(page,
                HasSubstr("vllm:prompt_tokens_total{engine=\"0\",model_name=\"m\\\"1\"} 7\n"));
    EXPECT_THAT(page,
                HasSubstr("vllm:num_requests_running{engine=\"0\",model_name=\"m\\\"1\"} 2\n"));
    EXPECT_THAT(page,
                HasSubstr("vllm:kv_cache_usage_perc{engine=\"0\",model_name=\"m\\\"1\"} 0.25\n"));
    EXPECT_THAT(page, HasSubstr("time_to_first_token_seconds_bucket{engine=\"0\",model_name="
                                "\"m\\\"1\",le=\"0.001\"} 0\n"));
    EXPECT_THAT(page, HasSubstr("time_to_first_token_seconds_bucket{engine=\"0\",model_name="
                                "\"m\\\"1\",le=\"0.005\"} 1\n"));
    EXPECT_THAT(
        page,
        HasSubstr("time_to_first_token_seconds_count{engine=\"0\",model_name=\"m\\\"1\"} 2\n"));
    EXPECT_THAT(page, HasSubstr("sleep_state=\"awake\"} 1\n"));
    EXPECT_THAT(page, HasSubstr("vllm:inter_token_latency_seconds_bucket"));
}

TEST(Stats, SpeaksTheOldNamesOnRequest) {
    const LoopStats loop;
    const std::string page = render_metrics({&loop}, {"m", true, 0});
    EXPECT_THAT(page, HasSubstr("vllm:gpu_cache_usage_perc"));
    EXPECT_THAT(page, HasSubstr("vllm:gpu_prefix_cache_hits_total"));
    EXPECT_THAT(page, HasSubstr("vllm:time_per_output_token_seconds_count"));
    EXPECT_THAT(page, Not(HasSubstr("vllm:kv_cache_usage_perc")));
    EXPECT_THAT(page, Not(HasSubstr("inter_token_latency")));
}

}  // namespace
}  // namespace millrace::vllm_sim
