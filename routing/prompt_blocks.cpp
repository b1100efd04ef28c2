#include "routing/prompt_blocks.hpp"

#include <algorithm>
#include <cstring>

#include "config/base/random.hpp"
#include "routing/canary.hpp"

namespace millrace::routing {
namespace {

__extension__ using Wide = unsigned __int128;

/// Both halves of the product: the mixing step of wyhash (Wang Yi). With an unknown factor in
/// each argument nobody can bring it to zero at will.
std::uint64_t fold(std::uint64_t a, std::uint64_t b) {
    const auto product = static_cast<Wide>(a) * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64U);
}

std::uint64_t word(const char* bytes) {
    std::uint64_t value = 0;
    std::memcpy(&value, bytes, sizeof value);
    return value;
}

}  // namespace

PromptBlocks::PromptBlocks(const PromptHashing& how)
    : max_blocks_(how.max_blocks),
      stripes_per_block_(std::max<std::size_t>(1, (how.block_bytes + kStripe - 1) / kStripe)),
      secret_(how.secret) {
    start({});
}

void PromptBlocks::start(std::string_view key) {
    Random expand(secret_ ^ stable_hash(key));
    std::ranges::generate(keys_, [&] { return expand(); });
    std::ranges::generate(lanes_, [&] { return expand(); });
    block_left_ = stripes_per_block_;
    room_ = stripes_per_block_ * max_blocks_;
    held_ = 0;
    hashes_.clear();
}

std::uint32_t PromptBlocks::block_bytes() const {
    return static_cast<std::uint32_t>(stripes_per_block_ * kStripe);
}

void PromptBlocks::feed(std::string_view piece) {
    if (held_ > 0) {
        const auto taken = std::min(kStripe - held_, piece.size());
        std::memcpy(stripe_.data() + held_, piece.data(), taken);
        held_ += taken;
        piece.remove_prefix(taken);
        if (held_ < kStripe) {
            return;
        }
        held_ = 0;
        absorb({stripe_.data(), kStripe});
    }
    const auto whole = piece.size() / kStripe * kStripe;
    absorb(piece.substr(0, whole));
    piece.remove_prefix(whole);
    if (!piece.empty()) {
        std::memcpy(stripe_.data(), piece.data(), piece.size());
        held_ = piece.size();
    }
}

void PromptBlocks::absorb(std::string_view bytes) {
    auto [a, b] = lanes_;
    auto stripes = std::min(bytes.size() / kStripe, room_);
    const auto* at = bytes.data();
    room_ -= stripes;
    while (stripes > 0) {
        const auto run = std::min(stripes, block_left_);
        for (const auto* end = at + run * kStripe; at != end; at += kStripe) {
            a = fold(word(at) ^ keys_[0], word(at + 8) ^ a);
            b = fold(word(at + 16) ^ keys_[1], word(at + 24) ^ b);
        }
        stripes -= run;
        block_left_ -= run;
        if (block_left_ == 0) {
            block_left_ = stripes_per_block_;
            hashes_.push_back(fold(a ^ keys_[2], b ^ keys_[3]));
        }
    }
    lanes_ = {a, b};
}

}  // namespace millrace::routing
