#include "bench/vllm_sim/stats.hpp"

#include "bench/vllm_sim/text.hpp"

namespace millrace::vllm_sim {
namespace {

using Loops = std::vector<const LoopStats*>;

/// Shortest decimal form that reads back as the same number.
void append_double(std::string& out, double value) {
    char digits[32];
    const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    out.append(digits, end);
}

class Page {
public:
    Page(const Loops& loops, std::string_view model) : loops_(loops) {
        labels_ = R"(engine="0",model_name=)";
        append_json_string(labels_, model);
    }

    template <class T>
    void gauge(std::string_view name, T value) {
        type(name, "gauge");
        sample(name, {}, static_cast<double>(value));
    }

    void counter(std::string_view name, Slot<std::uint64_t> LoopStats::* member) {
        type(name, "counter");
        sample(std::string(name) + "_total", {}, static_cast<double>(total(loops_, member)));
    }

    template <std::size_t N>
    void histogram(std::string_view name, Histogram<N> LoopStats::* member,
                   const std::array<double, N>& bounds) {
        type(name, "histogram");
        std::uint64_t below = 0;
        double sum = 0;
        for (std::size_t i = 0; i <= N; ++i) {
            for (const LoopStats* loop : loops_) {
                below += (loop->*member).counts[i].get();
            }
            std::string le = R"(,le=")";
            if (i == N) {
                le += "+Inf";
            } else {
                append_double(le, bounds[i]);
            }
            le += '"';
            sample(std::string(name) + "_bucket", le, static_cast<double>(below));
        }
        for (const LoopStats* loop : loops_) {
            sum += (loop->*member).sum.get();
        }
        sample(std::string(name) + "_sum", {}, sum);
        sample(std::string(name) + "_count", {}, static_cast<double>(below));
    }

    void type(std::string_view name, std::string_view kind) {
        append(out_, "# HELP vllm:", name, " Simulated.\n# TYPE vllm:", name,
               kind == "counter" ? "_total " : " ", kind, "\n");
    }

    void sample(std::string_view name, std::string_view more_labels, double value) {
        append(out_, "vllm:", name, "{", labels_, more_labels, "} ");
        append_double(out_, value);
        out_ += '\n';
    }

    std::string take() { return std::move(out_); }

private:
    const Loops& loops_;
    std::string labels_;
    std::string out_;
};

}  // namespace

std::string render_metrics(const Loops& loops, const MetricsOptions& options) {
    Page page(loops, options.model);
    page.gauge("num_requests_running", total(loops, &LoopStats::running));
    page.gauge("num_requests_waiting", total(loops, &LoopStats::waiting));
    const double kv = total(loops, &LoopStats::kv_usage);
    page.gauge(options.old_names ? "gpu_cache_usage_perc" : "kv_cache_usage_perc", kv);
    if (!options.old_names) {
        page.type("engine_sleep_state", "gauge");
        const char* const states[] = {"awake", "weights_offloaded", "discard_all"};
        for (int level = 0; level < 3; ++level) {
            page.sample("engine_sleep_state",
                        std::string(R"(,sleep_state=")") + states[level] + '"',
                        level == options.sleep_level ? 1 : 0);
        }
    }
    const std::string prefix = options.old_names ? "gpu_prefix_cache" : "prefix_cache";
    page.counter(prefix + "_queries", &LoopStats::cache_queries);
    page.counter(prefix + "_hits", &LoopStats::cache_hits);
    page.counter("num_preemptions", &LoopStats::preemptions);
    page.counter("prompt_tokens", &LoopStats::prompt_tokens);
    page.counter("generation_tokens", &LoopStats::generation_tokens);
    page.type("request_success", "counter");
    page.sample("request_success_total", R"(,finished_reason="stop")",
                static_cast<double>(total(loops, &LoopStats::stopped)));
    page.sample("request_success_total", R"(,finished_reason="length")",
                static_cast<double>(total(loops, &LoopStats::cut_by_length)));
    page.sample("request_success_total", R"(,finished_reason="abort")",
                static_cast<double>(total(loops, &LoopStats::aborted)));
    page.histogram("time_to_first_token_seconds", &LoopStats::ttft, kTtftBuckets);
    page.histogram(
        options.old_names ? "time_per_output_token_seconds" : "inter_token_latency_seconds",
        &LoopStats::inter_token, kInterTokenBuckets);
    page.histogram("e2e_request_latency_seconds", &LoopStats::e2e, kE2eBuckets);
    return page.take();
}

}  // namespace millrace::vllm_sim
