// Counters of the simulator, as vLLM names them. Each event loop writes its own LoopStats (single
// writer, relaxed loads and stores, no contention); a scrape adds them up. Times in seconds.
// Thread-safety: one writer, any readers.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::vllm_sim {

/// A number with one writer.
template <class T>
class Slot {
public:
    void add(T by) {
        value_.store(value_.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
    }
    void set(T to) { value_.store(to, std::memory_order_relaxed); }
    T get() const { return value_.load(std::memory_order_relaxed); }

private:
    std::atomic<T> value_{};
};

inline constexpr std::array<double, 22> kTtftBuckets = {.001, .005, .01, .02, .04, .06, .08, .1,
                                                        .25,  .5,   .75, 1,   2.5, 5,   7.5, 10,
                                                        20,   40,   80,  160, 640, 2560};
inline constexpr std::array<double, 21> kE2eBuckets = {
    .3, .5, .8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680};
inline constexpr std::array<double, 17> kInterTokenBuckets = {
    .01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5, 5, 7.5, 10, 80};

/// Cumulative only when rendered.
template <std::size_t N>
struct Histogram {
    std::array<Slot<std::uint64_t>, N + 1> counts;
    Slot<double> sum;

    void observe(const std::array<double, N>& bounds, double value) {
        std::size_t i = 0;
        while (i < N && value > bounds[i]) {
            ++i;
        }
        counts[i].add(1);
        sum.add(value);
    }
};

struct LoopStats {
    Slot<std::uint64_t> requests;  ///< every request, control paths included
    Slot<std::uint64_t> refused;   ///< answered 4xx or 5xx
    Slot<std::uint64_t> stopped;   ///< finished_reason stop
    Slot<std::uint64_t> cut_by_length;
    Slot<std::uint64_t> aborted;
    Slot<std::uint64_t> faults;
    Slot<std::uint64_t> continued;  ///< went on with a final message
    Slot<std::uint64_t> prompt_tokens;
    Slot<std::uint64_t> generation_tokens;
    Slot<std::uint64_t> cache_queries;  ///< tokens
    Slot<std::uint64_t> cache_hits;
    Slot<std::uint64_t> preemptions;
    Slot<std::int64_t> running;
    Slot<std::int64_t> waiting;
    Slot<double> kv_usage;
    Histogram<kTtftBuckets.size()> ttft;
    Histogram<kInterTokenBuckets.size()> inter_token;
    Histogram<kE2eBuckets.size()> e2e;
};

/// Sums a member over the loops.
template <class T>
T total(const std::vector<const LoopStats*>& loops, Slot<T> LoopStats::* member) {
    T sum{};
    for (const LoopStats* loop : loops) {
        sum += (loop->*member).get();
    }
    return sum;
}

struct MetricsOptions {
    std::string_view model;
    bool old_names =
        false;  ///< gpu_cache_usage_perc, gpu_prefix_cache_*, time_per_output_token_seconds
    int sleep_level = 0;  ///< 0: awake
};

/// The text of /metrics.
std::string render_metrics(const std::vector<const LoopStats*>& loops,
                           const MetricsOptions& options);

}  // namespace millrace::vllm_sim
