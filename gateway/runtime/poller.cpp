#include "gateway/runtime/poller.hpp"

#include <sys/epoll.h>

#include <array>
#include <system_error>

namespace millrace::gateway {
namespace {

/// Events taken per look; what is left is found by the next one.
constexpr int kBatch = 128;

int make_epoll() {
    const int descriptor = ::epoll_create1(EPOLL_CLOEXEC);
    if (descriptor < 0) {
        throw std::system_error(errno, std::generic_category(), "epoll_create1");
    }
    return descriptor;
}

}  // namespace

Poller::Poller(boost::asio::io_context& context) : epoll_(context, make_epoll()) {
    wait();
}

Poller::~Poller() {
    for (PollTarget* target : retired_) {
        delete target;
    }
}

bool Poller::add(int descriptor, PollTarget& target) {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    event.data.ptr = &target;
    return ::epoll_ctl(epoll_.native_handle(), EPOLL_CTL_ADD, descriptor, &event) == 0;
}

void Poller::retire(PollTarget* target) {
    if (dispatching_) {
        retired_.push_back(target);
    } else {
        delete target;
    }
}

void Poller::wait() {
    epoll_.async_wait(boost::asio::posix::descriptor_base::wait_read,
                      [this](boost::system::error_code error) {
                          if (!error) {
                              dispatch();
                              wait();
                          }
                      });
}

void Poller::dispatch() {
    [[clang::uninitialized]] std::array<epoll_event, kBatch> events;
    const int count = ::epoll_wait(epoll_.native_handle(), events.data(), kBatch, 0);
    dispatching_ = true;
    for (int i = 0; i < count; ++i) {
        const auto& event = events[static_cast<std::size_t>(i)];
        static_cast<PollTarget*>(event.data.ptr)->on_events(event.events);
    }
    dispatching_ = false;
    for (PollTarget* target : retired_) {
        delete target;
    }
    retired_.clear();
}

}  // namespace millrace::gateway
