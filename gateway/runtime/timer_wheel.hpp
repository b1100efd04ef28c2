// A hierarchical timer wheel with 10 ms ticks: arming, re-arming and disarming cost a few stores,
// so that every phase of every request can have a deadline.
//
// Pure: `advance(now)` is given the time; the worker drives it from one coarse timer that runs only
// while the wheel is not empty. A Timer fires no earlier than its deadline and at most one tick
// plus the caller's delay later. Moving a deadline further out does not touch the wheel: the old
// slot re-files the timer when it comes up. Thread-safety: none; one wheel per worker.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "config/base/clock.hpp"

namespace millrace::gateway {

class TimerWheel;

namespace detail {

/// A node of a circular list; alone it points at itself. Unlinking needs no knowledge of the list.
struct TimerLink {
    TimerLink* next = this;
    TimerLink* previous = this;

    TimerLink() = default;
    TimerLink(const TimerLink&) = delete;
    TimerLink& operator=(const TimerLink&) = delete;

    bool alone() const { return next == this; }
    void unlink() {
        next->previous = previous;
        previous->next = next;
        next = previous = this;
    }
    void insert_before(TimerLink& position) {
        next = &position;
        previous = position.previous;
        previous->next = this;
        position.previous = this;
    }
};

}  // namespace detail

/// A deadline with a callback. Must not outlive its wheel; destruction disarms.
class Timer : private detail::TimerLink {
public:
    using Callback = void (*)(void* context);

    Timer() = default;
    Timer(Callback callback, void* context) : callback_(callback), context_(context) {}
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;
    ~Timer() { disarm(); }

    bool armed() const { return deadline_ != Instant::max(); }
    Instant deadline() const { return deadline_; }
    /// Forgets the deadline; the callback will not run until armed again.
    void disarm();

private:
    friend class TimerWheel;

    TimerWheel* wheel_ = nullptr;  // set while filed in a slot
    std::uint64_t filed_tick_ = 0;
    Instant deadline_ = Instant::max();
    Callback callback_ = nullptr;
    void* context_ = nullptr;
};

class TimerWheel {
public:
    static constexpr Duration kTick = std::chrono::milliseconds(10);

    explicit TimerWheel(Instant start) : start_(start) {}
    TimerWheel(const TimerWheel&) = delete;
    TimerWheel& operator=(const TimerWheel&) = delete;
    ~TimerWheel();

    /// Fires `timer` once `deadline` has passed; replaces an earlier deadline.
    void arm(Timer& timer, Instant deadline);

    /// Runs the callbacks of all timers whose deadline is at or before `now`. Callbacks may arm and
    /// disarm any timer.
    void advance(Instant now);

    bool empty() const { return size_ == 0; }

private:
    friend class Timer;

    static constexpr std::size_t kSlots = 256;
    static constexpr std::size_t kLevels =
        3;  // 2.56 s, 11 min, 46 h; beyond that the last level goes round

    using Slot = detail::TimerLink;

    std::uint64_t tick_of(Instant time) const;
    void file(Timer& timer);
    void unfile(Timer& timer);
    Slot& slot_for(std::uint64_t tick);
    void take(Slot& from, Slot& to);
    void cascade(std::size_t level);
    void expire(Slot& slot);

    Instant start_;
    std::uint64_t current_ = 0;  // last tick that was processed
    std::size_t size_ = 0;
    std::array<std::array<Slot, kSlots>, kLevels> levels_;
};

}  // namespace millrace::gateway
