#include "bench/vllm_sim/prefix_cache.hpp"

#include <algorithm>
#include <cstring>
#include <ranges>

namespace millrace::vllm_sim {

std::uint32_t prompt_tokens_of(std::string_view text) {
    const std::size_t tokens = (text.size() + kBytesPerToken - 1) / kBytesPerToken;
    return static_cast<std::uint32_t>(std::max<std::size_t>(1, tokens));
}

std::vector<std::uint64_t> block_hashes(std::string_view prompt) {
    std::vector<std::uint64_t> hashes;
    hashes.reserve(prompt.size() / kBytesPerBlock);
    std::uint64_t hash = 0x243f6a8885a308d3ULL;
    for (std::size_t at = 0; at + kBytesPerBlock <= prompt.size(); at += kBytesPerBlock) {
        for (std::size_t word = 0; word < kBytesPerBlock; word += sizeof(std::uint64_t)) {
            std::uint64_t value = 0;
            std::memcpy(&value, prompt.data() + at + word, sizeof value);
            hash = (hash ^ value) * 0x9fb21c651e98df25ULL;
            hash ^= hash >> 28U;
        }
        hashes.push_back(hash);
    }
    return hashes;
}

std::uint32_t PrefixCache::lookup_and_insert(const std::vector<std::uint64_t>& blocks,
                                             std::uint32_t prompt_tokens) {
    if (capacity_ == 0) {
        return 0;
    }
    std::uint32_t hits = 0;
    while (hits < blocks.size() && index_.contains(blocks[hits])) {
        ++hits;
    }
    // From the tail to the head, so that of one prompt the tail is evicted first: a head without
    // its tail is useful, a tail without its head is not.
    for (const std::uint64_t block : std::views::reverse(blocks)) {
        const auto found = index_.find(block);
        if (found != index_.end()) {
            order_.splice(order_.begin(), order_, found->second);
            continue;
        }
        if (index_.size() >= capacity_) {
            index_.erase(order_.back());
            order_.pop_back();
        }
        order_.push_front(block);
        index_.emplace(block, order_.begin());
    }
    std::uint32_t cached = hits * kTokensPerBlock;
    if (cached >= prompt_tokens) {
        cached = (prompt_tokens - 1) / kTokensPerBlock * kTokensPerBlock;
    }
    return cached;
}

void PrefixCache::clear() {
    order_.clear();
    index_.clear();
}

}  // namespace millrace::vllm_sim
