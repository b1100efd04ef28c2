// What a model server says about its own load, whichever server and version it is.
//
// Names: vLLM (current and removed ones), SGLang, trtllm-serve and Triton with TensorRT-LLM. Counts
// are summed over engines and ranks, KV-cache use is the fullest engine's, because that is the one
// that will preempt. Thread-safety: pure.
#pragma once

#include <optional>

#include "metrics/scrape.hpp"

namespace millrace::metrics {

struct EngineLoad {
    std::optional<double> waiting;
    std::optional<double> running;
    std::optional<double> kv_usage;  ///< 0..1
    bool operator==(const EngineLoad&) const = default;
};

/// A value that the server does not report stays empty; NaN counts as not reported.
EngineLoad vllm_load(const Scrape& scrape);

}  // namespace millrace::metrics
