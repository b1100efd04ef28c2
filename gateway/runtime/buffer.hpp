// Byte buffers from per-worker free lists, and the process-wide budget that bounds them.
//
// A Buffer is contiguous, grows only by being replaced, and returns its memory to the pool it came
// from. Classes are powers of two from 1 KiB to 4 MiB; a pool keeps at most kKept bytes of free
// memory, the rest goes back to malloc. Thread-safety: BufferPool and Buffer belong to one worker.
// ByteBudget is shared and lock-free; a Lease belongs to its holder.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace::gateway {

class BufferPool;

/// Owned bytes: [begin, end) is filled, [end, capacity) is room. Empty (no memory) by default.
class Buffer {
public:
    Buffer() = default;
    Buffer(Buffer&& other) noexcept
        : pool_(std::exchange(other.pool_, nullptr)),
          data_(std::exchange(other.data_, nullptr)),
          capacity_(std::exchange(other.capacity_, 0)),
          size_(std::exchange(other.size_, 0)) {}
    Buffer& operator=(Buffer&& other) noexcept {
        if (this != &other) {
            release();
            pool_ = std::exchange(other.pool_, nullptr);
            data_ = std::exchange(other.data_, nullptr);
            capacity_ = std::exchange(other.capacity_, 0);
            size_ = std::exchange(other.size_, 0);
        }
        return *this;
    }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    ~Buffer() { release(); }

    explicit operator bool() const { return data_ != nullptr; }
    char* data() { return data_; }
    std::string_view view() const { return {data_, size_}; }
    std::size_t size() const { return size_; }
    std::size_t capacity() const { return capacity_; }
    std::size_t room() const { return capacity_ - size_; }
    char* tail() { return data_ + size_; }

    void commit(std::size_t bytes) { size_ += bytes; }
    void clear() { size_ = 0; }
    /// Copies `bytes` to the end; there must be room.
    void append(std::string_view bytes);
    /// Gives the memory back.
    void release();

private:
    friend class BufferPool;
    Buffer(BufferPool* pool, char* data, std::size_t capacity)
        : pool_(pool), data_(data), capacity_(capacity) {}

    BufferPool* pool_ = nullptr;
    char* data_ = nullptr;
    std::size_t capacity_ = 0;
    std::size_t size_ = 0;
};

class BufferPool {
public:
    static constexpr std::size_t kSmallest = 1024;
    static constexpr std::size_t kClasses = 13;  // 1 KiB … 4 MiB
    static constexpr std::size_t kKept = std::size_t{8} << 20U;

    BufferPool() = default;
    BufferPool(const BufferPool&) = delete;
    BufferPool& operator=(const BufferPool&) = delete;
    ~BufferPool();

    /// A buffer with at least `capacity` bytes of room.
    Buffer get(std::size_t capacity);
    /// Replaces `buffer` by one with room for `capacity` bytes in all, its content kept.
    void grow(Buffer& buffer, std::size_t capacity);

    std::size_t free_bytes() const { return free_bytes_; }

private:
    friend class Buffer;
    void put(char* data, std::size_t capacity);

    std::array<std::vector<char*>, kClasses> free_;
    std::size_t free_bytes_ = 0;
};

/// Bytes that bodies and stalled writes of all requests may hold together.
class ByteBudget {
public:
    explicit ByteBudget(std::uint64_t limit) : limit_(limit) {}

    /// Takes `bytes`, or nothing and false.
    bool try_take(std::uint64_t bytes);
    void give_back(std::uint64_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }

    std::uint64_t limit() const { return limit_.load(std::memory_order_relaxed); }
    void set_limit(std::uint64_t limit) { limit_.store(limit, std::memory_order_relaxed); }
    std::uint64_t used() const { return used_.load(std::memory_order_relaxed); }

private:
    std::atomic<std::uint64_t> limit_;
    alignas(64) std::atomic<std::uint64_t> used_{0};
};

/// What one request holds of the budget; the destructor gives it back.
class BudgetLease {
public:
    BudgetLease() = default;
    explicit BudgetLease(ByteBudget& budget) : budget_(&budget) {}
    BudgetLease(BudgetLease&& other) noexcept
        : budget_(std::exchange(other.budget_, nullptr)), held_(std::exchange(other.held_, 0)) {}
    BudgetLease& operator=(BudgetLease&& other) noexcept {
        if (this != &other) {
            release();
            budget_ = std::exchange(other.budget_, nullptr);
            held_ = std::exchange(other.held_, 0);
        }
        return *this;
    }
    BudgetLease(const BudgetLease&) = delete;
    BudgetLease& operator=(const BudgetLease&) = delete;
    ~BudgetLease() { release(); }

    /// Holds at least `bytes` from here on; false when the budget has no room for the growth.
    bool grow_to(std::uint64_t bytes);
    void release();

private:
    ByteBudget* budget_ = nullptr;
    std::uint64_t held_ = 0;
};

}  // namespace millrace::gateway
