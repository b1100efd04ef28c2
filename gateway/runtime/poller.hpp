// Poller: edge-triggered readiness for a worker's sockets, one epoll instance of our own inside the
// Asio loop.
//
// Each socket is registered once, for everything, and never modified again: a request then costs no
// epoll_ctl call, where an Asio readiness wait costs one each time. Hang-up (RDHUP) is seen without
// reading. The Asio loop watches the epoll descriptor as a whole.
// docs/decisions/0006-own-readiness.md has the figures. Thread-safety: none; one per worker.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstdint>
#include <vector>

namespace millrace::gateway {

/// What becomes ready; lives on the heap, refers to the socket that it belongs to, and is freed
/// through retire().
struct PollTarget {
    PollTarget() = default;
    PollTarget(const PollTarget&) = delete;
    PollTarget& operator=(const PollTarget&) = delete;
    virtual ~PollTarget() = default;
    /// `events`: bits of epoll_event. May destroy any socket, its own included.
    virtual void on_events(std::uint32_t events) = 0;
};

class Poller {
public:
    explicit Poller(boost::asio::io_context& context);
    Poller(const Poller&) = delete;
    Poller& operator=(const Poller&) = delete;
    ~Poller();

    /// Reports what is ready already, too. Closing the descriptor ends the registration.
    bool add(int descriptor, PollTarget& target);
    /// Frees `target` once no event in hand can name it.
    void retire(PollTarget* target);

private:
    void wait();
    void dispatch();

    boost::asio::posix::basic_stream_descriptor<boost::asio::io_context::executor_type> epoll_;
    std::vector<PollTarget*> retired_;
    bool dispatching_ = false;
};

}  // namespace millrace::gateway
