// Which endpoints have seen which prompt prefixes: a bounded memory of what each prefix cache
// holds, learned from our own dispatches.
//
// A table from block hash (prompt_blocks.hpp) to the set of endpoints that were sent it, least
// recently dispatched first out. It is advice: a model server may have evicted what the table
// remembers, so the bound should follow the servers' KV caches (their tokens / tokens per block *
// kBytesPerBlock), not the memory at hand.
//
// Thread-safety: any thread, one object per pool. At 20 000 requests/s of hundreds of blocks, one
// lock would be held half of the time; so the table is cut into shards, and a prompt's blocks go to
// shards in runs of 16, drawn by the run's first hash. A request takes one lock per run, each for
// less than a microsecond, and even a run that all prompts share keeps its shard busy for a few per
// cent of the time. Order of use is kept per shard. Only resize() allocates.
#pragma once

#include <array>
#include <atomic>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <mutex>
#include <span>
#include <vector>

namespace millrace::routing {

class PrefixIndex {
    static constexpr std::size_t kEndpoints = 128;
    using Endpoints = std::bitset<kEndpoints>;
    using Position = std::uint32_t;
    static constexpr Position kNone = std::numeric_limits<Position>::max();

    struct Entry {
        std::uint64_t hash = 0;
        Endpoints endpoints;
        Position chain = kNone;  ///< next in the bucket
        Position newer = kNone;
        Position older = kNone;
    };

public:
    /// Endpoints known at a time; of further ones nothing is remembered until others are forgotten.
    static constexpr std::size_t kMaxEndpoints = kEndpoints;
    static constexpr std::size_t kMaxShards = 16;
    static constexpr std::size_t kBytesPerBlock = sizeof(Entry) + sizeof(Position);
    /// Blocks of a prompt that share a lock.
    static constexpr std::size_t kRun = 16;

    /// `limit` in bytes; less than kBytesPerBlock remembers nothing.
    /// `shards` is for one that grows later; 0 = what the limit is worth.
    explicit PrefixIndex(std::size_t limit, std::size_t shards = 0);
    /// Another limit; what was used last stays as far as it fits. For the control thread.
    void resize(std::size_t limit);

    /// Fills, for each endpoint generation, how many blocks from the first on it has seen without
    /// a gap. Both spans have the same length. Ends where nobody matches. Does not count as use:
    /// the dispatch that follows does.
    void match(std::span<const std::uint64_t> hashes, std::span<const std::uint64_t> generations,
               std::span<std::uint32_t> matched_blocks) const;
    /// A prompt was sent to that endpoint. A prompt's tail is evicted before its head, because a
    /// tail without head matches nothing.
    void record(std::span<const std::uint64_t> hashes, std::uint64_t generation);
    /// The endpoint is gone, or its cache is. Walks the whole table in short steps: for the control
    /// thread.
    void forget(std::uint64_t generation);

    std::size_t blocks() const;  ///< remembered
    std::size_t bytes() const;   ///< taken by them and their table; never above the limit

private:
    class alignas(64) Shard {
    public:
        void resize(std::size_t capacity);
        const Endpoints* find(std::uint64_t hash) const;
        void touch(std::uint64_t hash, std::size_t endpoint);
        /// Clears the endpoint's bit in up to `count` entries from `begin` on; false at the end.
        bool forget(std::size_t endpoint, std::size_t begin, std::size_t count);
        std::size_t size() const { return entries_.size(); }

        mutable std::mutex mutex;  ///< guards everything below

    private:
        void insert(std::uint64_t hash, Endpoints endpoints);
        Position& bucket(std::uint64_t hash);
        Position position_of(std::uint64_t hash) const;
        Position vacate_oldest();
        void link_newest(Position position);
        void unlink(Position position);

        std::size_t capacity_ = 0;
        std::vector<Entry> entries_;     ///< grows to the capacity, then the oldest is replaced
        std::vector<Position> buckets_;  ///< as many as the capacity
        Position newest_ = kNone;
        Position oldest_ = kNone;
    };

    /// Dense number of an endpoint, or kMaxEndpoints.
    std::size_t number_of(std::uint64_t generation) const;
    std::size_t number_for(std::uint64_t generation);
    const Shard& shard_of(std::uint64_t run_hash) const {
        return shards_[run_hash % shards_.size()];
    }
    Shard& shard_of(std::uint64_t run_hash) { return shards_[run_hash % shards_.size()]; }

    std::vector<Shard> shards_;
    std::atomic<std::size_t> fixed_bytes_ = 0;
    std::mutex numbers_mutex_;  ///< writers of generations_
    std::array<std::atomic<std::uint64_t>, kMaxEndpoints> generations_{};
    std::atomic<std::size_t> numbers_ = 0;  ///< how many of them were ever used
};

}  // namespace millrace::routing
