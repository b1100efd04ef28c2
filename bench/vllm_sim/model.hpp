// The simulated engine: continuous batching as vLLM does it, in iterations. An iteration decodes
// one token of every running sequence and spends a budget of prefill tokens on sequences that are
// not prefilled yet; its length follows a linear cost model. Admission is first come, first served,
// bounded by seats (max_num_seqs) and by KV blocks; when the KV cache runs out during decoding, the
// youngest sequence is preempted and computed again later. Pure: time is an argument, nothing
// happens except in calls. Units: milliseconds in Cost, tokens elsewhere. Thread-safety: none (one
// engine per server; the batch mode has one event loop).
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <unordered_map>
#include <vector>

#include "config/base/clock.hpp"

namespace millrace::vllm_sim {

/// Length of one iteration: base + per_sequence * decoding + per_prefill_token * prefilled tokens,
/// and per_context_token * all tokens in the KV cache (attention gets slower with the context).
struct Cost {
    double base_ms = 0;
    double per_sequence_ms = 0;
    double per_prefill_token_ms = 0;
    double per_context_token_ms = 0;
    double prefill_base_ms = 0;  ///< once per iteration that prefills anything
};

struct Limits {
    std::uint32_t max_num_seqs = 256;
    std::uint32_t kv_tokens = 1U << 19U;                ///< KV capacity
    std::uint32_t prefill_tokens_per_iteration = 8192;  ///< vLLM's max_num_batched_tokens
};

using SequenceId = std::uint64_t;

/// What one sequence gained at the end of an iteration.
struct Emission {
    SequenceId id = 0;
    std::uint32_t index = 0;  ///< serial number of the token
    bool last = false;
    Instant at;  ///< end of the iteration that computed it
};

class BatchModel {
public:
    BatchModel(Limits limits, Cost cost) : limits_(limits), cost_(cost) {}

    /// A sequence with `prompt` tokens, `cached` of them already computed, that will emit `output`
    /// tokens (> 0). False if it can never fit into the KV cache.
    bool submit(SequenceId id, std::uint32_t prompt, std::uint32_t cached, std::uint32_t output,
                Instant now);

    /// Forgets a sequence in any state; unknown ids are ignored.
    void cancel(SequenceId id);

    /// When the running iteration ends; nothing if the engine is idle.
    std::optional<Instant> next() const;

    /// Ends every iteration that is due and appends what they emitted, in order.
    void advance(Instant now, std::vector<Emission>& out);

    std::uint32_t running() const { return static_cast<std::uint32_t>(running_.size()); }
    std::uint32_t waiting() const { return static_cast<std::uint32_t>(waiting_.size()); }
    double kv_usage() const;  ///< 0..1
    std::uint64_t preemptions() const { return preemptions_; }

private:
    struct Sequence {
        std::uint32_t prompt = 0;  ///< tokens to have in the KV cache before the next token
        std::uint32_t computed = 0;
        std::uint32_t emitted = 0;
        std::uint32_t output = 0;
        std::uint32_t blocks = 0;  ///< KV blocks held while running
        bool prefilled() const { return computed >= prompt; }
    };

    void start_iteration(Instant now);
    void finish_iteration(std::vector<Emission>& out);
    void admit();
    void make_room_for_decode();
    void preempt_youngest();
    std::uint32_t capacity_blocks() const;

    Limits limits_;
    Cost cost_;
    std::unordered_map<SequenceId, Sequence> sequences_;
    std::deque<SequenceId> waiting_;
    std::vector<SequenceId> running_;  ///< in the order of admission
    struct Prefill {
        SequenceId id = 0;
        std::uint32_t tokens = 0;
    };
    std::vector<Prefill> prefills_;    ///< of the running iteration
    std::vector<SequenceId> decodes_;  ///< of the running iteration
    std::optional<Instant> iteration_end_;
    std::uint32_t used_blocks_ = 0;
    std::uint64_t preemptions_ = 0;
};

}  // namespace millrace::vllm_sim
