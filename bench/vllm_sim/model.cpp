#include "bench/vllm_sim/model.hpp"

#include <algorithm>
#include <chrono>

#include "bench/vllm_sim/prefix_cache.hpp"

namespace millrace::vllm_sim {
namespace {

std::uint32_t blocks_for(std::uint32_t tokens) {
    return (tokens + kTokensPerBlock - 1) / kTokensPerBlock;
}

Duration from_ms(double ms) {
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::milli>(ms));
}

}  // namespace

std::uint32_t BatchModel::capacity_blocks() const {
    return limits_.kv_tokens / kTokensPerBlock;
}

bool BatchModel::submit(SequenceId id, std::uint32_t prompt, std::uint32_t cached,
                        std::uint32_t output, Instant now) {
    if (blocks_for(prompt + output) > capacity_blocks()) {
        return false;
    }
    Sequence sequence;
    sequence.prompt = prompt;
    sequence.computed = std::min(cached, prompt - 1);
    sequence.output = output;
    sequences_[id] = sequence;
    waiting_.push_back(id);
    if (!iteration_end_) {
        start_iteration(now);
    }
    return true;
}

void BatchModel::cancel(SequenceId id) {
    const auto found = sequences_.find(id);
    if (found == sequences_.end()) {
        return;
    }
    used_blocks_ -= found->second.blocks;
    sequences_.erase(found);
    std::erase(running_, id);
    std::erase(waiting_, id);
    // The iteration under way keeps its length: a GPU does not give computed time back.
    std::erase(decodes_, id);
    std::erase_if(prefills_, [id](const Prefill& prefill) { return prefill.id == id; });
}

std::optional<Instant> BatchModel::next() const {
    return iteration_end_;
}

void BatchModel::advance(Instant now, std::vector<Emission>& out) {
    while (iteration_end_ && *iteration_end_ <= now) {
        const Instant end = *iteration_end_;
        finish_iteration(out);
        iteration_end_.reset();
        start_iteration(end);
    }
}

double BatchModel::kv_usage() const {
    const std::uint32_t capacity = capacity_blocks();
    return capacity == 0 ? 0 : static_cast<double>(used_blocks_) / capacity;
}

void BatchModel::start_iteration(Instant now) {
    prefills_.clear();
    decodes_.clear();
    make_room_for_decode();
    admit();
    std::uint32_t budget = limits_.prefill_tokens_per_iteration;
    double context = 0;
    for (const SequenceId id : running_) {
        const Sequence& sequence = sequences_.at(id);
        context += sequence.computed;
        if (sequence.prefilled()) {
            decodes_.push_back(id);
        } else if (budget > 0) {
            const std::uint32_t tokens = std::min(budget, sequence.prompt - sequence.computed);
            prefills_.push_back({id, tokens});
            budget -= tokens;
        }
    }
    if (prefills_.empty() && decodes_.empty()) {
        return;
    }
    const double prefilled = limits_.prefill_tokens_per_iteration - budget;
    double ms = cost_.base_ms + cost_.per_sequence_ms * static_cast<double>(decodes_.size()) +
                cost_.per_prefill_token_ms * prefilled + cost_.per_context_token_ms * context;
    if (prefilled > 0) {
        ms += cost_.prefill_base_ms;
    }
    iteration_end_ = now + from_ms(std::max(ms, 1e-3));
}

void BatchModel::finish_iteration(std::vector<Emission>& out) {
    const auto emit = [&](SequenceId id) {
        Sequence& sequence = sequences_.at(id);
        const bool last = sequence.emitted + 1 == sequence.output;
        out.push_back({id, sequence.emitted, last, *iteration_end_});
        ++sequence.emitted;
        ++sequence.computed;
        ++sequence.prompt;  // after a preemption everything emitted is part of what must be
                            // computed again
        if (last) {
            used_blocks_ -= sequence.blocks;
            sequences_.erase(id);
            std::erase(running_, id);
        }
    };
    for (const SequenceId id : decodes_) {
        emit(id);
    }
    for (const Prefill& prefill : prefills_) {
        Sequence& sequence = sequences_.at(prefill.id);
        sequence.computed += prefill.tokens;
        if (sequence.prefilled()) {
            emit(prefill.id);  // the iteration that ends the prefill yields the first token
        }
    }
}

void BatchModel::admit() {
    while (!waiting_.empty() && running_.size() < limits_.max_num_seqs) {
        const SequenceId id = waiting_.front();
        Sequence& sequence = sequences_.at(id);
        const std::uint32_t blocks = blocks_for(sequence.prompt + 1);
        if (used_blocks_ + blocks > capacity_blocks()) {
            return;  // first come, first served: nobody overtakes
        }
        sequence.blocks = blocks;
        used_blocks_ += blocks;
        running_.push_back(id);
        waiting_.pop_front();
    }
}

void BatchModel::make_room_for_decode() {
    for (std::size_t i = 0; i < running_.size(); ++i) {
        Sequence& sequence = sequences_.at(running_[i]);
        const std::uint32_t needed = blocks_for(sequence.prompt + 1);
        while (needed > sequence.blocks &&
               used_blocks_ + needed - sequence.blocks > capacity_blocks()) {
            const bool itself = running_.size() == i + 1;
            preempt_youngest();
            if (itself) {
                return;
            }
        }
        used_blocks_ += needed - std::min(needed, sequence.blocks);
        sequence.blocks = std::max(needed, sequence.blocks);
    }
}

void BatchModel::preempt_youngest() {
    const SequenceId id = running_.back();
    Sequence& sequence = sequences_.at(id);
    used_blocks_ -= sequence.blocks;
    sequence.blocks = 0;
    sequence.computed = 0;
    running_.pop_back();
    waiting_.push_front(id);
    ++preemptions_;
}

}  // namespace millrace::vllm_sim
