// Waiting in tests: a deadline that every blocking call takes, and polling until a condition holds.
// Tests never sleep for a fixed time. Thread-safety: plain values. Under sanitizers all limits
// stretch by kSlowdown.
#pragma once

#include <chrono>
#include <thread>

namespace millrace::test {

using namespace std::chrono_literals;
using Millis = std::chrono::milliseconds;

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr int kSlowdown = 4;
#else
constexpr int kSlowdown = 1;
#endif
#else
constexpr int kSlowdown = 1;
#endif

/// How long a test waits for something that should happen at once.
constexpr Millis kPatience = 10s * kSlowdown;

class Deadline {
public:
    explicit Deadline(Millis limit) : end_(std::chrono::steady_clock::now() + limit) {}
    bool passed() const { return std::chrono::steady_clock::now() >= end_; }
    /// Milliseconds left for poll(2), at least 0.
    int left() const {
        const auto rest =
            std::chrono::ceil<Millis>(end_ - std::chrono::steady_clock::now()).count();
        return rest > 0 ? static_cast<int>(rest) : 0;
    }

private:
    std::chrono::steady_clock::time_point end_;
};

/// True as soon as `condition()` holds; false when it did not within `limit`.
template <class Condition>
bool eventually(Condition condition, Millis limit = kPatience, Millis step = 2ms) {
    const Deadline deadline(limit);
    while (!condition()) {
        if (deadline.passed()) {
            return condition();
        }
        std::this_thread::sleep_for(step);
    }
    return true;
}

/// Time since `start` in whole milliseconds.
inline Millis since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration_cast<Millis>(std::chrono::steady_clock::now() - start);
}

}  // namespace millrace::test
