// Published<T>: the current immutable snapshot of something, readable at the cost of one relaxed
// load.
//
// A writer publishes a shared_ptr<const T>; each reader thread holds its own Reader, which keeps a
// pointer and only takes the mutex when the version moved. Not std::atomic<std::shared_ptr>:
// libstdc++ 12's is slow and racy. Thread-safety: publish() and current() from any thread; a Reader
// belongs to one thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

namespace millrace {

template <class T>
class Published {
public:
    using Snapshot = std::shared_ptr<const T>;

    explicit Published(Snapshot initial) : value_(std::move(initial)) {}

    void publish(Snapshot next) {
        {
            const std::lock_guard lock(mutex_);
            value_.swap(next);
            version_.fetch_add(1, std::memory_order_release);
        }
        // `next` (the old snapshot) is released outside the lock.
    }

    Snapshot current() const {
        const std::lock_guard lock(mutex_);
        return value_;
    }

    /// One thread's cached view.
    class Reader {
    public:
        explicit Reader(const Published& source) : source_(source) {}

        /// The current snapshot; the reference is valid until the next call on this Reader.
        const Snapshot& get() {
            if (const auto version = source_.version_.load(std::memory_order_acquire);
                version != seen_) {
                cached_ = source_.current();
                seen_ = version;
            }
            return cached_;
        }

    private:
        const Published& source_;
        Snapshot cached_;
        std::uint64_t seen_ = 0;
    };

private:
    mutable std::mutex mutex_;
    Snapshot value_;
    std::atomic<std::uint64_t> version_{1};
};

}  // namespace millrace
