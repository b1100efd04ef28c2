#include "gateway/runtime/timer_wheel.hpp"

#include <algorithm>

#include "config/base/assert.hpp"

namespace millrace::gateway {

void Timer::disarm() {
    deadline_ = Instant::max();
    if (wheel_ != nullptr) {
        wheel_->unfile(*this);
    }
}

TimerWheel::~TimerWheel() {
    for (auto& level : levels_) {
        for (auto& slot : level) {
            while (!slot.alone()) {
                unfile(static_cast<Timer&>(*slot.next));
            }
        }
    }
}

std::uint64_t TimerWheel::tick_of(Instant time) const {
    if (time <= start_) {
        return 0;
    }
    // Rounded up: a timer must not fire early.
    return static_cast<std::uint64_t>((time - start_ + kTick - Duration(1)) / kTick);
}

void TimerWheel::arm(Timer& timer, Instant deadline) {
    MILLRACE_ASSERT(timer.callback_ != nullptr);
    timer.deadline_ = deadline;
    const std::uint64_t tick = std::max(tick_of(deadline), current_ + 1);
    if (timer.wheel_ != nullptr) {
        if (timer.filed_tick_ <= tick) {
            return;  // the slot it is in comes up first and files it again
        }
        unfile(timer);
    }
    timer.filed_tick_ = tick;
    file(timer);
}

void TimerWheel::file(Timer& timer) {
    timer.wheel_ = this;
    timer.insert_before(slot_for(timer.filed_tick_));
    ++size_;
}

void TimerWheel::unfile(Timer& timer) {
    timer.unlink();
    timer.wheel_ = nullptr;
    --size_;
}

TimerWheel::Slot& TimerWheel::slot_for(std::uint64_t tick) {
    const std::uint64_t ahead = tick - current_;
    if (ahead < kSlots) {
        return levels_[0][tick % kSlots];
    }
    if (ahead < kSlots * kSlots) {
        return levels_[1][tick / kSlots % kSlots];
    }
    // Beyond the last level's span: filed at its far end and filed again from there.
    const std::uint64_t reach = std::min<std::uint64_t>(ahead, kSlots * kSlots * (kSlots - 1));
    return levels_[2][(current_ + reach) / (kSlots * kSlots) % kSlots];
}

void TimerWheel::take(Slot& from, Slot& to) {
    while (!from.alone()) {
        Slot& link = *from.next;
        link.unlink();
        link.insert_before(to);
    }
}

void TimerWheel::cascade(std::size_t level) {
    std::uint64_t unit = kSlots;
    for (std::size_t i = 1; i < level; ++i) {
        unit *= kSlots;
    }
    Slot due;
    take(levels_[level][current_ / unit % kSlots], due);
    while (!due.alone()) {
        auto& timer = static_cast<Timer&>(*due.next);
        unfile(timer);
        file(timer);
    }
}

void TimerWheel::expire(Slot& slot) {
    // Moved aside first: callbacks may arm timers into this very slot.
    Slot due;
    take(slot, due);
    while (!due.alone()) {
        auto& timer = static_cast<Timer&>(*due.next);
        unfile(timer);
        const std::uint64_t tick = tick_of(timer.deadline_);
        if (tick > current_) {  // its deadline was moved out since it was filed
            timer.filed_tick_ = tick;
            file(timer);
            continue;
        }
        timer.deadline_ = Instant::max();
        timer.callback_(timer.context_);
    }
}

void TimerWheel::advance(Instant now) {
    if (now < start_) {
        return;
    }
    const auto target = static_cast<std::uint64_t>((now - start_) / kTick);
    if (empty()) {
        current_ = std::max(current_, target);
        return;
    }
    while (current_ < target) {
        ++current_;
        if (current_ % (kSlots * kSlots) == 0) {
            cascade(2);
        }
        if (current_ % kSlots == 0) {
            cascade(1);
        }
        expire(levels_[0][current_ % kSlots]);
    }
}

}  // namespace millrace::gateway
