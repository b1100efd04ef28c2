// Poller: edge-triggered readiness for a worker's sockets, one epoll instance per worker.
//
// Each socket is registered once, for everything, and never modified again, so that waiting for it
// costs no system call of its own; hang-up (RDHUP) is seen without reading.
// docs/decisions/0006-own-readiness.md has the figures. Thread-safety: wake() from any thread; the
// rest belongs to the worker.
#pragma once

#include <cstdint>
#include <vector>

#include "config/base/clock.hpp"

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
    /// Throws std::system_error when the system has no descriptors left.
    Poller();
    Poller(const Poller&) = delete;
    Poller& operator=(const Poller&) = delete;
    ~Poller();

    /// Reports what is ready already, too. Closing the descriptor ends the registration.
    bool add(int descriptor, PollTarget& target);
    /// Frees `target` once no event in hand can name it.
    void retire(PollTarget* target);

    /// Waits for events, at most `limit` (negative: for ever). True when wake() was called since
    /// the last time.
    bool wait(Duration limit);
    /// Delivers what wait() found.
    void dispatch();
    void wake() noexcept;

private:
    struct Events;

    int epoll_ = -1;
    int wake_ = -1;
    Events* events_;
    int found_ = 0;
    std::vector<PollTarget*> retired_;
};

}  // namespace millrace::gateway
