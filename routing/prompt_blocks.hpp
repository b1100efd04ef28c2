// A prompt as a chain of block hashes: hash i stands for everything up to the end of block i, as
// the blocks of a model server's prefix cache do. It is fed with the bytes of the prompt as they
// lie in the request body, without decoding them: conversations repeat their past byte by byte, and
// about four bytes are a token. Hashes compare only under the same secret and key. Thread-safety:
// none; a worker may reuse one.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace millrace::routing {

/// What a block of the usual size is, about.
inline constexpr std::size_t kTokensPerBlock = 64;

struct PromptHashing {
    std::uint32_t block_bytes = 256;  ///< rounded up to a multiple of 32
    std::uint32_t max_blocks = 512;   ///< what comes after them is not looked at
    std::uint64_t secret = 0;         ///< random per process: nobody can craft prompts that collide
};

class PromptBlocks {
public:
    explicit PromptBlocks(const PromptHashing& how);

    /// Begins a prompt. The key names the cache: the model, and what else separates (an adapter,
    /// vLLM's `cache_salt`). Two keys never share hashes, but for 2^-64 per pair.
    void start(std::string_view key);
    /// The next bytes, in pieces of any size.
    void feed(std::string_view piece);

    /// One per complete block so far; valid until the next call.
    std::span<const std::uint64_t> hashes() const { return hashes_; }
    std::uint32_t block_bytes() const;

private:
    static constexpr std::size_t kStripe = 32;

    /// Whole stripes.
    void absorb(std::string_view bytes);

    std::uint32_t max_blocks_;
    std::size_t stripes_per_block_;
    std::uint64_t secret_;
    std::array<std::uint64_t, 4> keys_{};
    std::array<std::uint64_t, 2> lanes_{};
    std::size_t block_left_ = 0;  ///< stripes until the block is complete
    std::size_t room_ = 0;        ///< stripes until the last block is complete
    std::size_t held_ = 0;        ///< bytes of an incomplete stripe
    std::array<char, kStripe> stripe_{};
    std::vector<std::uint64_t> hashes_;
};

}  // namespace millrace::routing
