#include "gateway/runtime/poller.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

namespace millrace::gateway {
namespace {

int checked(int descriptor, const char* what) {
    if (descriptor < 0) {
        throw std::system_error(errno, std::generic_category(), what);
    }
    return descriptor;
}

int to_milliseconds(Duration limit) {
    if (limit < Duration(0)) {
        return -1;
    }
    // Rounded up: waking early would only mean to wait again.
    return static_cast<int>((limit + std::chrono::milliseconds(1) - Duration(1)) /
                            std::chrono::milliseconds(1));
}

}  // namespace

/// Events taken at once; what is left is found by the next wait.
struct Poller::Events {
    std::array<epoll_event, 128> list;
};

Poller::Poller()
    : epoll_(checked(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      wake_(checked(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")),
      events_(new Events) {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;
    event.data.ptr = nullptr;
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &event);
}

Poller::~Poller() {
    for (PollTarget* target : retired_) {
        delete target;
    }
    delete events_;
    ::close(wake_);
    ::close(epoll_);
}

bool Poller::add(int descriptor, PollTarget& target) {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    event.data.ptr = &target;
    return ::epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event) == 0;
}

void Poller::retire(PollTarget* target) {
    if (found_ > 0) {
        retired_.push_back(target);
    } else {
        delete target;
    }
}

bool Poller::wait(Duration limit) {
    auto& list = events_->list;
    const int count =
        ::epoll_wait(epoll_, list.data(), static_cast<int>(list.size()), to_milliseconds(limit));
    bool woken = false;
    found_ = 0;
    for (int i = 0; i < count; ++i) {
        const auto& event = list[static_cast<std::size_t>(i)];
        if (event.data.ptr == nullptr) {
            woken = true;
        } else {
            list[static_cast<std::size_t>(found_++)] = event;
        }
    }
    return woken;
}

void Poller::dispatch() {
    for (int i = 0; i < found_; ++i) {
        const auto& event = events_->list[static_cast<std::size_t>(i)];
        static_cast<PollTarget*>(event.data.ptr)->on_events(event.events);
    }
    found_ = 0;
    for (PollTarget* target : retired_) {
        delete target;
    }
    retired_.clear();
}

void Poller::wake() noexcept {
    ::eventfd_write(wake_, 1);
}

}  // namespace millrace::gateway
