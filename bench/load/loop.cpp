#include "bench/load/loop.hpp"

#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <system_error>
#include <utility>

namespace millrace::load {
namespace {

volatile std::sig_atomic_t signalled = 0;

void note_signal(int /*signal*/) {
    signalled = 1;
}

void control(int epoll_fd, int operation, int fd, std::uint32_t events, Pollable& pollable) {
    epoll_event event{};
    event.events = events;
    event.data.ptr = &pollable;
    if (::epoll_ctl(epoll_fd, operation, fd, &event) != 0) {
        throw std::system_error(errno, std::generic_category(), "epoll_ctl");
    }
}

}  // namespace

Loop::Loop() : epoll_fd_(::epoll_create1(EPOLL_CLOEXEC)) {
    if (epoll_fd_ < 0) {
        throw std::system_error(errno, std::generic_category(), "epoll_create1");
    }
    // The default slack of 50 us would be added to every scheduled send.
    ::prctl(PR_SET_TIMERSLACK, 1UL);
    struct sigaction action{};
    action.sa_handler = note_signal;
    ::sigaction(SIGTERM, &action, nullptr);
    ::sigaction(SIGINT, &action, nullptr);
}

Loop::~Loop() {
    ::close(epoll_fd_);
}

void Loop::add(int fd, std::uint32_t events, Pollable& pollable) {
    control(epoll_fd_, EPOLL_CTL_ADD, fd, events, pollable);
}

void Loop::change(int fd, std::uint32_t events, Pollable& pollable) {
    control(epoll_fd_, EPOLL_CTL_MOD, fd, events, pollable);
}

void Loop::at(Instant when, std::function<void()> action) {
    timers_.push({when, order_++, std::move(action)});
}

void Loop::run() {
    while (!stopped_) {
        if (signalled != 0) {
            signalled = 0;
            if (!on_signal_) {
                return;
            }
            std::exchange(on_signal_, {})();
            continue;
        }
        run_timers();
        if (!stopped_) {
            wait();
        }
    }
}

void Loop::run_timers() {
    while (!stopped_ && !timers_.empty() && timers_.top().when <= now()) {
        // top() is const; the timer is popped at once, so moving out of it is safe.
        auto action = std::move(const_cast<Timer&>(timers_.top()).action);
        timers_.pop();
        action();
    }
}

void Loop::wait() {
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): filled by the kernel
    std::array<epoll_event, 256> events;
    timespec timeout{};
    if (!timers_.empty()) {
        const Duration left = std::max(Duration::zero(), timers_.top().when - now());
        timeout.tv_sec = left / std::chrono::seconds(1);
        timeout.tv_nsec = (left % std::chrono::seconds(1)).count();
    }
    const int count = ::epoll_pwait2(epoll_fd_, events.data(), static_cast<int>(events.size()),
                                     timers_.empty() ? nullptr : &timeout, nullptr);
    for (int i = 0; i < count && !stopped_; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        static_cast<Pollable*>(event.data.ptr)->on_ready(event.events);
    }
}

}  // namespace millrace::load
