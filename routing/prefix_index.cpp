#include "routing/prefix_index.hpp"

#include <algorithm>
#include <utility>

#include "config/base/assert.hpp"

namespace millrace::routing {
namespace {

constexpr std::size_t kBlocksPerShard = 1024;  // below, the order of use matters more than locks
constexpr std::size_t kForgetStep = 4096;      // entries swept under one lock: some 10 us
constexpr std::uint64_t kFree = 0;             // pools number generations from 1
constexpr std::uint64_t kLeaving = ~std::uint64_t{0};

}  // namespace

PrefixIndex::PrefixIndex(std::size_t limit, std::size_t shards)
    : shards_(shards > 0 ? shards
                         : std::clamp<std::size_t>(limit / kBytesPerBlock / kBlocksPerShard, 1,
                                                   kMaxShards)) {
    resize(limit);
}

void PrefixIndex::resize(std::size_t limit) {
    const auto capacity = std::min<std::size_t>(limit / kBytesPerBlock, kNone) / shards_.size();
    for (auto& shard : shards_) {
        const std::lock_guard lock(shard.mutex);
        shard.resize(capacity);
    }
    fixed_bytes_.store(capacity * shards_.size() * sizeof(Position), std::memory_order_relaxed);
}

void PrefixIndex::match(std::span<const std::uint64_t> hashes,
                        std::span<const std::uint64_t> generations,
                        std::span<std::uint32_t> matched_blocks) const {
    MILLRACE_ASSERT(generations.size() == matched_blocks.size());
    Endpoints alive;
    for (const auto generation : generations) {
        if (const auto number = number_of(generation); number < kMaxEndpoints) {
            alive.set(number);
        }
    }
    std::array<std::uint32_t, kMaxEndpoints + 1> depths{};  // the last one is for unknown endpoints
    const auto settle = [&](Endpoints ended, std::size_t depth) {
        for (std::size_t i = 0; ended.any(); ++i, ended >>= 1U) {
            if (ended.test(0)) {
                depths[i] = static_cast<std::uint32_t>(depth);
            }
        }
    };
    for (std::size_t begin = 0; begin < hashes.size() && alive.any(); begin += kRun) {
        const auto end = std::min(begin + kRun, hashes.size());
        const auto& shard = shard_of(hashes[begin]);
        const std::lock_guard lock(shard.mutex);
        for (auto i = begin; i < end && alive.any(); ++i) {
            const auto* seen = shard.find(hashes[i]);
            const auto still = seen == nullptr ? Endpoints{} : alive & *seen;
            settle(alive & ~still, i);
            alive = still;
        }
    }
    settle(alive, hashes.size());
    std::ranges::transform(generations, matched_blocks.begin(),
                           [&](std::uint64_t generation) { return depths[number_of(generation)]; });
}

void PrefixIndex::record(std::span<const std::uint64_t> hashes, std::uint64_t generation) {
    const auto number = number_for(generation);
    if (number == kMaxEndpoints) {
        return;
    }
    // Backwards, so that the head is the most recently used.
    for (auto end = hashes.size(); end > 0;) {
        const auto begin = (end - 1) / kRun * kRun;
        auto& shard = shard_of(hashes[begin]);
        const std::lock_guard lock(shard.mutex);
        for (; end > begin; --end) {
            shard.touch(hashes[end - 1], number);
        }
    }
}

void PrefixIndex::forget(std::uint64_t generation) {
    const std::lock_guard lock(numbers_mutex_);
    const auto number = number_of(generation);
    if (number == kMaxEndpoints) {
        return;
    }
    // The number is given out again only after the sweep. A record() that read it before may set a
    // few more bits, which the next owner of the number would inherit: wrong advice, briefly.
    generations_[number].store(kLeaving, std::memory_order_relaxed);
    for (auto& shard : shards_) {
        for (std::size_t begin = 0;; begin += kForgetStep) {
            const std::lock_guard step(shard.mutex);
            if (!shard.forget(number, begin, kForgetStep)) {
                break;
            }
        }
    }
    generations_[number].store(kFree, std::memory_order_relaxed);
}

std::size_t PrefixIndex::blocks() const {
    std::size_t sum = 0;
    for (const auto& shard : shards_) {
        const std::lock_guard lock(shard.mutex);
        sum += shard.size();
    }
    return sum;
}

std::size_t PrefixIndex::bytes() const {
    return fixed_bytes_.load(std::memory_order_relaxed) + blocks() * sizeof(Entry);
}

std::size_t PrefixIndex::number_of(std::uint64_t generation) const {
    const auto known = numbers_.load(std::memory_order_acquire);
    for (std::size_t i = 0; i < known; ++i) {
        if (generations_[i].load(std::memory_order_relaxed) == generation) {
            return i;
        }
    }
    return kMaxEndpoints;
}

std::size_t PrefixIndex::number_for(std::uint64_t generation) {
    MILLRACE_ASSERT(generation != kFree && generation != kLeaving);
    if (const auto number = number_of(generation); number < kMaxEndpoints) {
        return number;
    }
    const std::lock_guard lock(numbers_mutex_);
    auto number = number_of(generation);
    if (number == kMaxEndpoints) {
        number = number_of(kFree);
    }
    if (number == kMaxEndpoints) {
        number = numbers_.load(std::memory_order_relaxed);
        if (number == kMaxEndpoints) {
            return number;
        }
        generations_[number].store(generation, std::memory_order_relaxed);
        numbers_.store(number + 1, std::memory_order_release);
        return number;
    }
    generations_[number].store(generation, std::memory_order_relaxed);
    return number;
}

void PrefixIndex::Shard::resize(std::size_t capacity) {
    if (capacity == capacity_) {
        return;
    }
    const auto old = std::exchange(entries_, {});
    auto position = newest_;
    for (std::size_t kept = 1; position != kNone && old[position].older != kNone && kept < capacity;
         ++kept) {
        position = old[position].older;  // the oldest that stays
    }
    capacity_ = capacity;
    entries_.reserve(capacity);
    buckets_.assign(capacity, kNone);
    newest_ = oldest_ = kNone;
    for (; position != kNone && capacity > 0; position = old[position].newer) {
        insert(old[position].hash, old[position].endpoints);
    }
}

void PrefixIndex::Shard::insert(std::uint64_t hash, Endpoints endpoints) {
    const auto position =
        entries_.size() < capacity_ ? static_cast<Position>(entries_.size()) : vacate_oldest();
    if (position == entries_.size()) {
        entries_.emplace_back();
    }
    auto& head = bucket(hash);
    entries_[position] = {hash, endpoints, head, kNone, kNone};
    head = position;
    link_newest(position);
}

PrefixIndex::Position& PrefixIndex::Shard::bucket(std::uint64_t hash) {
    // The high half draws the bucket (multiply-shift); the low bits drew the shard.
    return buckets_[(hash >> 32U) * buckets_.size() >> 32U];
}

PrefixIndex::Position PrefixIndex::Shard::position_of(std::uint64_t hash) const {
    if (buckets_.empty()) {
        return kNone;
    }
    auto position = buckets_[(hash >> 32U) * buckets_.size() >> 32U];
    while (position != kNone && entries_[position].hash != hash) {
        position = entries_[position].chain;
    }
    return position;
}

const PrefixIndex::Endpoints* PrefixIndex::Shard::find(std::uint64_t hash) const {
    const auto position = position_of(hash);
    return position == kNone ? nullptr : &entries_[position].endpoints;
}

void PrefixIndex::Shard::touch(std::uint64_t hash, std::size_t endpoint) {
    if (capacity_ == 0) {
        return;
    }
    const auto position = position_of(hash);
    if (position == kNone) {
        Endpoints only;
        only.set(endpoint);
        insert(hash, only);
        return;
    }
    unlink(position);
    entries_[position].endpoints.set(endpoint);
    link_newest(position);
}

bool PrefixIndex::Shard::forget(std::size_t endpoint, std::size_t begin, std::size_t count) {
    const auto end = std::min(begin + count, entries_.size());
    for (auto i = begin; i < end; ++i) {
        entries_[i].endpoints.reset(endpoint);
    }
    return end < entries_.size();
}

PrefixIndex::Position PrefixIndex::Shard::vacate_oldest() {
    const auto position = oldest_;
    unlink(position);
    auto* link = &bucket(entries_[position].hash);
    while (*link != position) {
        link = &entries_[*link].chain;
    }
    *link = entries_[position].chain;
    return position;
}

void PrefixIndex::Shard::link_newest(Position position) {
    auto& entry = entries_[position];
    entry.newer = kNone;
    entry.older = newest_;
    (newest_ == kNone ? oldest_ : entries_[newest_].newer) = position;
    newest_ = position;
}

void PrefixIndex::Shard::unlink(Position position) {
    const auto& entry = entries_[position];
    (entry.newer == kNone ? newest_ : entries_[entry.newer].older) = entry.older;
    (entry.older == kNone ? oldest_ : entries_[entry.older].newer) = entry.newer;
}

}  // namespace millrace::routing
