// From a request to what will be answered: checks that vLLM makes before it computes (form, model,
// context length), faults, token counts, ids. Time and randomness come from the engine's owner.
// Thread-safety: one Engine per loop.
#pragma once

#include <expected>

#include "bench/vllm_sim/prefix_cache.hpp"
#include "bench/vllm_sim/request_reader.hpp"
#include "bench/vllm_sim/shared.hpp"
#include "config/base/random.hpp"

namespace millrace::vllm_sim {

/// What one event loop computes with.
struct Engine {
    Engine(Shared& all, std::uint64_t seed)
        : shared(all), cache(all.options.prefix_cache_blocks), random(seed) {}

    Shared& shared;
    Texts texts;
    PrefixCache cache;
    Random random;
    LoopStats stats;
    Instant now;  ///< of the event being handled
    std::int64_t unix_seconds = 0;
    std::string date;  ///< of unix_seconds, as the Date field wants it
};

struct Planned {
    ApiRequest request;
    Reply reply;
    Fault fault;
    Duration ttft{};  ///< own pacing, if `batched` is false
    Duration inter_token{};
    bool batched = false;  ///< paced by the batch model
};

/// A refusal, and what its head carries.
struct Refusal {
    ApiError error;
    std::uint32_t retry_after = 0;
    bool by_fault = false;
};

std::expected<Planned, Refusal> plan(Engine& engine, const Incoming& incoming);

/// 32 hexadecimal digits, as vLLM's random_uuid().
std::string random_hex(Random& random);

}  // namespace millrace::vllm_sim
