// The text that the simulator answers with: an endless deterministic sequence of tokens, token i of
// seed s being two syllables drawn from hash(s, i), the serial number i and a space ("kalo17 "). A
// reader can therefore check that what it received is a prefix of what was sent, in order, without
// keeping a copy. Tokens are plain ASCII and need no JSON escapes. Choice c of a request uses the
// seed s + c. Thread-safety: none, one Texts per event loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace millrace::vllm_sim {

/// Token number `index` of the sequence `seed`, trailing space included. The definition that
/// oracles use.
std::string token_at(std::uint64_t seed, std::uint32_t index);

/// The rendered beginning of one sequence, grown on demand, so that a run of tokens is one view.
class TokenText {
public:
    explicit TokenText(std::uint64_t seed) : seed_(seed) {}

    /// Text of tokens [first, first + count). The view is valid until the next call on this object.
    std::string_view range(std::uint32_t first, std::uint32_t count);

    /// The smallest number of tokens whose text has at least `bytes` bytes.
    std::uint32_t tokens_for_bytes(std::size_t bytes);

    std::size_t size() const { return text_.size(); }

private:
    void grow(std::uint32_t tokens);

    std::uint64_t seed_;
    std::string text_;
    std::vector<std::size_t> ends_;  ///< ends_[i] = offset behind token i
};

/// Sequences by seed. Bounded: above kMaxSequences, or kMaxBytes of text, everything is dropped and
/// grown again.
class Texts {
public:
    static constexpr std::size_t kMaxSequences = 1024;
    static constexpr std::size_t kMaxBytes = 64U << 20U;

    TokenText& of(std::uint64_t seed);

private:
    std::unordered_map<std::uint64_t, TokenText> texts_;
    TokenText* last_ = nullptr;  ///< nearly every request uses the server's seed
    std::uint64_t last_seed_ = 0;
};

}  // namespace millrace::vllm_sim
