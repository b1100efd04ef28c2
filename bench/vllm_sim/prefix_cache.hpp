// Which prompt prefixes the simulated engine still holds: chained hashes of 64-byte blocks (16
// tokens at 4 bytes per token), least recently used out first, as vLLM's automatic prefix caching
// does with its full blocks. Pure; thread-safety: none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace millrace::vllm_sim {

inline constexpr std::uint32_t kTokensPerBlock = 16;
inline constexpr std::size_t kBytesPerToken = 4;
inline constexpr std::size_t kBytesPerBlock = kTokensPerBlock * kBytesPerToken;

/// Prompt tokens of a text: one per started 4 bytes, at least one.
std::uint32_t prompt_tokens_of(std::string_view text);

/// One hash per full block, each covering everything before it.
std::vector<std::uint64_t> block_hashes(std::string_view prompt);

class PrefixCache {
public:
    /// `capacity` in blocks; 0 switches the cache off.
    explicit PrefixCache(std::size_t capacity) : capacity_(capacity) {}

    /// Tokens of the longest cached prefix; afterwards all the blocks are cached and fresh. Like
    /// vLLM, the last prompt token is always computed, so that a whole hit counts one block less.
    std::uint32_t lookup_and_insert(const std::vector<std::uint64_t>& blocks,
                                    std::uint32_t prompt_tokens);

    void clear();
    std::size_t size() const { return index_.size(); }

private:
    std::size_t capacity_;
    std::list<std::uint64_t> order_;  ///< front = most recently used
    std::unordered_map<std::uint64_t, std::list<std::uint64_t>::iterator> index_;
};

}  // namespace millrace::vllm_sim
