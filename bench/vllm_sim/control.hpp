// The paths that are not inference: health, models, metrics, sleep, stored responses, and the
// simulator's own /sim/live, /sim/stats, /sim/faults. Thread-safety: as Shared; one Engine per
// loop.
#pragma once

#include <string>

#include "bench/vllm_sim/plan.hpp"

namespace millrace::vllm_sim {

struct Answer {
    int status = 200;
    std::string body;
    std::string content_type = "application/json";
};

Answer control(Engine& engine, const Incoming& incoming);

/// A background response: stored at once, in progress until it would have been computed.
Answer accept_background(Engine& engine, const Planned& planned);

}  // namespace millrace::vllm_sim
