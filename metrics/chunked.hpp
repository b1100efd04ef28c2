// Chunked<T>: a growing array whose elements never move, indexed by dense ids.
//
// Elements live in chunks; the chunk pointers are a fixed array of atomics. Growing publishes a new
// chunk, so a reader or the owning worker needs no lock and an element's address stays valid for
// the life of the array. Thread-safety: at() and try_at() from any thread for ids that have been
// ensured; ensure() and ensure_nothrow() from one thread at a time.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <new>

#include "config/base/assert.hpp"

namespace millrace::metrics {

/// Upper bound of ids of one kind; the registry's own caps lie below it.
inline constexpr std::size_t kMaxIds = 16384;

template <class T, std::size_t kPerChunk = 16>
class Chunked {
public:
    static_assert(kMaxIds % kPerChunk == 0);

    Chunked() = default;
    Chunked(const Chunked&) = delete;
    Chunked& operator=(const Chunked&) = delete;
    ~Chunked() {
        for (auto& pointer : chunks_) {
            delete pointer.load(std::memory_order_relaxed);
        }
    }

    /// Makes ids [0, count) valid.
    void ensure(std::size_t count) {
        MILLRACE_ASSERT(count <= kMaxIds);
        for (std::size_t chunk = 0; chunk * kPerChunk < count; ++chunk) {
            if (chunks_[chunk].load(std::memory_order_relaxed) == nullptr) {
                chunks_[chunk].store(std::make_unique<Chunk>().release(),
                                     std::memory_order_release);
            }
        }
    }

    /// The element, made on first use; nullptr when there is no memory. For the thread that owns
    /// the array.
    T* ensure_nothrow(std::size_t id) noexcept {
        auto& pointer = chunks_[id / kPerChunk];
        Chunk* chunk = pointer.load(std::memory_order_relaxed);
        if (chunk == nullptr) {
            chunk = new (std::nothrow) Chunk;
            if (chunk == nullptr) {
                return nullptr;
            }
            pointer.store(chunk, std::memory_order_release);
        }
        return &chunk->items[id % kPerChunk];
    }

    T& at(std::size_t id) noexcept {
        return chunks_[id / kPerChunk].load(std::memory_order_acquire)->items[id % kPerChunk];
    }
    const T& at(std::size_t id) const noexcept {
        return chunks_[id / kPerChunk].load(std::memory_order_acquire)->items[id % kPerChunk];
    }
    /// nullptr when nobody made the element's chunk.
    const T* try_at(std::size_t id) const noexcept {
        const Chunk* chunk = chunks_[id / kPerChunk].load(std::memory_order_acquire);
        return chunk == nullptr ? nullptr : &chunk->items[id % kPerChunk];
    }

private:
    /// On its own cache lines, so that two workers' chunks never share one.
    struct alignas(64) Chunk {
        std::array<T, kPerChunk> items{};
    };

    std::array<std::atomic<Chunk*>, kMaxIds / kPerChunk> chunks_{};
};

}  // namespace millrace::metrics
