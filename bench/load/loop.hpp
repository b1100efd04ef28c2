// One thread's epoll loop with timers. It sleeps in epoll_pwait2 with nanosecond deadlines and
// never spins: the mock shares the core, and a busy generator would be measured instead of the
// gateway. Thread-safety: none.
#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <vector>

#include "config/base/clock.hpp"

namespace millrace::load {

class Pollable {
public:
    virtual void on_ready(std::uint32_t events) = 0;

protected:
    ~Pollable() = default;
};

class Loop {
public:
    Loop();
    ~Loop();
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;

    void add(int fd, std::uint32_t events, Pollable& pollable);
    void change(int fd, std::uint32_t events, Pollable& pollable);

    /// Runs `action` once, not before `when`.
    void at(Instant when, std::function<void()> action);

    /// Runs `action` when SIGTERM or SIGINT comes; without one they end run().
    void on_signal(std::function<void()> action) { on_signal_ = std::move(action); }

    void run();
    void stop() { stopped_ = true; }

    static Instant now() { return std::chrono::steady_clock::now(); }

private:
    struct Timer {
        Instant when;
        std::uint64_t order;  ///< equal times run in the order they were set
        std::function<void()> action;
        bool operator<(const Timer& other) const {
            return when != other.when ? when > other.when : order > other.order;
        }
    };

    void run_timers();
    void wait();

    int epoll_fd_;
    std::priority_queue<Timer> timers_;
    std::uint64_t order_ = 0;
    std::function<void()> on_signal_;
    bool stopped_ = false;
};

}  // namespace millrace::load
