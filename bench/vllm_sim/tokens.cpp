#include "bench/vllm_sim/tokens.hpp"

#include <algorithm>

#include "bench/vllm_sim/text.hpp"

namespace millrace::vllm_sim {
namespace {

constexpr std::string_view kConsonants = "bdfgklmnprstvzhj";
constexpr std::string_view kVowels = "aeiou";

std::uint64_t mix(std::uint64_t seed, std::uint32_t index) {
    std::uint64_t z = seed * 0x9e3779b97f4a7c15ULL + index + 1;
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31U);
}

void append_token(std::string& out, std::uint64_t seed, std::uint32_t index) {
    std::uint64_t bits = mix(seed, index);
    for (int syllable = 0; syllable < 2; ++syllable) {
        out.push_back(kConsonants[bits & 15U]);
        bits >>= 4U;
        out.push_back(kVowels[(bits & 0xffU) % kVowels.size()]);
        bits >>= 8U;
    }
    append_number(out, index);
    out.push_back(' ');
}

}  // namespace

std::string token_at(std::uint64_t seed, std::uint32_t index) {
    std::string token;
    append_token(token, seed, index);
    return token;
}

std::string_view TokenText::range(std::uint32_t first, std::uint32_t count) {
    if (count == 0) {
        return {};
    }
    grow(first + count);
    const std::size_t begin = first == 0 ? 0 : ends_[first - 1];
    return std::string_view(text_).substr(begin, ends_[first + count - 1] - begin);
}

std::uint32_t TokenText::tokens_for_bytes(std::size_t bytes) {
    if (bytes == 0) {
        return 0;
    }
    while (text_.size() < bytes) {
        grow(static_cast<std::uint32_t>(ends_.size()) * 2 + 64);
    }
    const auto end = std::ranges::lower_bound(ends_, bytes);
    return static_cast<std::uint32_t>(end - ends_.begin()) + 1;
}

void TokenText::grow(std::uint32_t tokens) {
    while (ends_.size() < tokens) {
        append_token(text_, seed_, static_cast<std::uint32_t>(ends_.size()));
        ends_.push_back(text_.size());
    }
}

TokenText& Texts::of(std::uint64_t seed) {
    if (last_ != nullptr && last_seed_ == seed && last_->size() <= kMaxBytes) {
        return *last_;
    }
    std::size_t bytes = 0;
    if (const auto found = texts_.find(seed); found == texts_.end()) {
        for (const auto& [key, text] : texts_) {
            bytes += text.size();
        }
        if (texts_.size() >= kMaxSequences || bytes > kMaxBytes) {
            texts_.clear();
        }
    }
    last_ = &texts_.try_emplace(seed, seed).first->second;
    last_seed_ = seed;
    return *last_;
}

}  // namespace millrace::vllm_sim
