#include "metrics/engine_load.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <span>
#include <string_view>
#include <utility>

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

// SGLang calls a preemption a retraction; num_retracted_reqs is only its latest batch.
constexpr std::array kPreemptions{Source{"vllm:num_preemptions_total"},
                                  Source{"vllm:num_preemptions"},
                                  Source{"sglang:num_retracted_requests_total"}};
constexpr std::array kPrefixQueries{
    Source{"vllm:prefix_cache_queries_total"}, Source{"vllm:prefix_cache_queries"},
    Source{"vllm:gpu_prefix_cache_queries_total"}, Source{"vllm:gpu_prefix_cache_queries"},
    Source{"sglang:prompt_tokens_total"}};
constexpr std::array kPrefixHits{
    Source{"vllm:prefix_cache_hits_total"}, Source{"vllm:prefix_cache_hits"},
    Source{"vllm:gpu_prefix_cache_hits_total"}, Source{"vllm:gpu_prefix_cache_hits"},
    Source{"sglang:cached_tokens_total"}};

// One series per state, 1 for the one that holds (vLLM `v1/metrics/loggers.py`).
constexpr std::array kSleepStates{
    std::pair{Source{"vllm:engine_sleep_state", "sleep_state", "discard_all"},
              EngineSleep::discarded},
    std::pair{Source{"vllm:engine_sleep_state", "sleep_state", "weights_offloaded"},
              EngineSleep::offloaded}};
constexpr std::array kAwake{Source{"vllm:engine_sleep_state", "sleep_state", "awake"}};

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

std::optional<EngineSleep> sleep_of(const Scrape& scrape) {
    const auto lowest = [](double a, double b) { return std::min(a, b); };
    const auto highest = [](double a, double b) { return std::max(a, b); };
    for (const auto& [source, state] : kSleepStates) {
        if (pick(scrape, std::span(&source, 1), highest).value_or(0) > 0) {
            return state;
        }
    }
    if (const auto awake = pick(scrape, kAwake, lowest)) {
        return *awake > 0 ? EngineSleep::awake : EngineSleep::offloaded;
    }
    return std::nullopt;
}

/// `a, b` as names; empty ones are dropped.
std::vector<std::string> names_in(std::string_view list) {
    std::vector<std::string> names;
    while (!list.empty()) {
        const auto comma = std::min(list.find(','), list.size());
        auto name = list.substr(0, comma);
        list.remove_prefix(std::min(comma + 1, list.size()));
        name.remove_prefix(std::min(name.find_first_not_of(' '), name.size()));
        name = name.substr(0, name.find_last_not_of(' ') + 1);
        if (!name.empty()) {
            names.emplace_back(name);
        }
    }
    return names;
}

/// The value is the time of the report and every change makes a new series: the newest one holds.
std::optional<LoraAdapters> lora_of(const Scrape& scrape) {
    const Sample* newest = nullptr;
    for (const Sample& sample : scrape.samples) {
        if (sample.name == "vllm:lora_requests_info" && !std::isnan(sample.value) &&
            (newest == nullptr || sample.value > newest->value)) {
            newest = &sample;
        }
    }
    if (newest == nullptr) {
        return std::nullopt;
    }
    LoraAdapters adapters;
    adapters.running = names_in(newest->label("running_lora_adapters").value_or(""));
    adapters.waiting = names_in(newest->label("waiting_lora_adapters").value_or(""));
    const auto max = newest->label("max_lora").value_or("");
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(max.data(), max.data() + max.size(), number);
    if (error == std::errc{} && end == max.data() + max.size()) {
        adapters.max = number;
    }
    return adapters;
}

}  // namespace

EngineLoad vllm_load(const Scrape& scrape) {
    const auto sum = [](double a, double b) { return a + b; };
    const auto fullest = [](double a, double b) { return std::max(a, b); };
    return {.waiting = pick(scrape, kWaiting, sum),
            .running = pick(scrape, kRunning, sum),
            .kv_usage = pick(scrape, kKvUsage, fullest),
            .sleep = sleep_of(scrape),
            .lora = lora_of(scrape),
            .preemptions = pick(scrape, kPreemptions, sum),
            .prefix_queries = pick(scrape, kPrefixQueries, sum),
            .prefix_hits = pick(scrape, kPrefixHits, sum)};
}

}  // namespace millrace::metrics
