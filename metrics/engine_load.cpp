#include "metrics/engine_load.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <string_view>

namespace millrace::metrics {

namespace {

/// One way a server names a value; a non-empty `label` must have `value`.
struct Source {
    std::string_view name;
    std::string_view label{};
    std::string_view value{};
};

// In order of preference: the first name with a sample wins, so a server that sends an old and a
// new name for the same thing, or a total and its parts, is not counted twice.
constexpr std::array kWaiting{
    Source{"vllm:num_requests_waiting"}, Source{"vllm:num_requests_waiting_by_reason"},
    Source{"sglang:num_queue_reqs"}, Source{"trtllm_num_requests_waiting"},
    Source{"nv_trt_llm_request_metrics", "request_type", "waiting"}};
constexpr std::array kRunning{Source{"vllm:num_requests_running"},
                              Source{"sglang:num_running_reqs"},
                              Source{"trtllm_num_requests_running"},
                              Source{"nv_trt_llm_request_metrics", "request_type", "scheduled"}};
constexpr std::array kKvUsage{
    Source{"vllm:kv_cache_usage_perc"}, Source{"vllm:gpu_cache_usage_perc"},
    Source{"sglang:token_usage"}, Source{"trtllm_kv_cache_utilization"},
    Source{"nv_trt_llm_kv_cache_block_metrics", "kv_cache_block_type", "fraction"}};

bool matches(const Sample& sample, const Source& source) {
    return sample.name == source.name && !std::isnan(sample.value) &&
           (source.label.empty() || sample.label(source.label) == source.value);
}

template <class Combine>
std::optional<double> pick(const Scrape& scrape, std::span<const Source> sources, Combine combine) {
    for (const Source& source : sources) {
        std::optional<double> result;
        for (const Sample& sample : scrape.samples) {
            if (matches(sample, source)) {
                result = result ? combine(*result, sample.value) : sample.value;
            }
        }
        if (result) {
            return result;
        }
    }
    return std::nullopt;
}

}  // namespace

EngineLoad vllm_load(const Scrape& scrape) {
    const auto sum = [](double a, double b) { return a + b; };
    const auto fullest = [](double a, double b) { return std::max(a, b); };
    return {.waiting = pick(scrape, kWaiting, sum),
            .running = pick(scrape, kRunning, sum),
            .kv_usage = pick(scrape, kKvUsage, fullest)};
}

}  // namespace millrace::metrics
