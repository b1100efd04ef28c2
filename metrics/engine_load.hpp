// What a model server says about itself, whichever server and version it is: load, sleep, adapters,
// cache.
//
// Names: vLLM (current and removed ones), SGLang, trtllm-serve and Triton with TensorRT-LLM. Counts
// are summed over engines and ranks; KV-cache use and sleep are the worst engine's, because that is
// the one that will preempt, or not answer. All of it is advice and may be late: an EngineReport
// says when it was true, and whoever reads it says how old is too old. Thread-safety: pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/base/clock.hpp"
#include "metrics/scrape.hpp"

namespace millrace::metrics {

/// From ready to furthest away: a level-1 sleeper keeps its weights in CPU memory, a level-2
/// sleeper has dropped them.
enum class EngineSleep : std::uint8_t { awake, offloaded, discarded };

/// LoRA adapters by name.
struct LoraAdapters {
    std::vector<std::string> running;
    std::vector<std::string> waiting;
    std::optional<std::uint32_t> max;  ///< adapters that fit into one batch
    bool operator==(const LoraAdapters&) const = default;
};

struct EngineLoad {
    std::optional<double> waiting{};
    std::optional<double> running{};
    std::optional<double> kv_usage{};  ///< 0..1
    std::optional<EngineSleep> sleep{};
    std::optional<LoraAdapters> lora{};      ///< absent until the server has used an adapter
    std::optional<double> preemptions{};     ///< since the server started
    std::optional<double> prefix_queries{};  ///< prompt tokens looked up since the server started
    std::optional<double> prefix_hits{};     ///< of those, found in the prefix cache
    bool operator==(const EngineLoad&) const = default;
};

/// A value that the server does not report stays empty; NaN counts as not reported.
EngineLoad vllm_load(const Scrape& scrape);

struct EngineReport {
    EngineLoad load;
    Instant at;  ///< when the answer to the scrape arrived

    /// Young enough to act on; exactly `max_age` old still is.
    bool fresh(Instant now, Duration max_age) const { return now - at <= max_age; }
    /// The backend's own queue if that is known and fresh.
    std::optional<double> fresh_waiting(Instant now, Duration max_age) const {
        return fresh(now, max_age) ? load.waiting : std::nullopt;
    }
    bool operator==(const EngineReport&) const = default;
};

}  // namespace millrace::metrics
