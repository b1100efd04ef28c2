// Gate: where the requests of one pool get their endpoint: at once while one has a free slot, else
// in line.
//
// A request that finds no slot enters with a ticket. Whatever makes room (a lease that ends, an
// endpoint that appears or recovers, a limit that grows) calls pump(), which hands slots to the
// line's order until one of the two is used up: waiters leave at the rate that slots take them,
// never as a herd, and no lease is given beyond an endpoint's slots. The lock is touched only while
// somebody waits: a release costs one load when nobody does. No wake-up is lost, because entering
// raises `waiters` before it tries once more and releasing lowers the count before it looks at
// `waiters`, both sequentially consistent. Thread-safety: everything, from any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "config/base/clock.hpp"
#include "config/base/random.hpp"
#include "routing/endpoints.hpp"
#include "routing/selection.hpp"
#include "routing/waiting_line.hpp"

namespace millrace::routing {

/// One waiting request. Shared by whoever waits and, for the time of a wake-up, the gate.
class Ticket : private Waiter {
public:
    enum class State : std::uint8_t {
        waiting,
        granted,  ///< holds a lease
        evicted,  ///< gave its place to a request of higher priority
        closed,   ///< the pool is gone
    };

    /// `selection` must live for as long as the ticket is in line.
    Ticket(const WaitOrder& order, const Selection& selection)
        : Waiter(order), selection_(&selection) {}
    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;
    virtual ~Ticket() = default;

    /// The state is no longer `waiting`. Called once, on any thread, without the gate's lock.
    virtual void wake() noexcept = 0;

private:
    friend class Gate;

    const Selection* selection_;
    State state_ = State::waiting;
    Selected selected_;
    std::weak_ptr<Ticket> self_;
};

class Gate {
public:
    enum class Entered : std::uint8_t {
        waiting,  ///< in line; wake() will come, unless leave() is called first
        granted,  ///< room was made meanwhile: call leave() for the lease
        full,     ///< the line has no room for it
    };

    explicit Gate(std::uint64_t seed) : random_(seed) {}
    Gate(const Gate&) = delete;
    Gate& operator=(const Gate&) = delete;

    /// Somebody waits, so whoever comes now queues behind them.
    bool crowded() const noexcept { return waiters_.load(std::memory_order_seq_cst) > 0; }

    Entered enter(const std::shared_ptr<Ticket>& ticket);

    struct Left {
        Ticket::State state = Ticket::State::waiting;  ///< `waiting`: it was still in line
        Selected selected;                             ///< of `granted`
    };
    /// Takes the ticket out of the line, or takes what it was given. Once per ticket that entered.
    Left leave(Ticket& ticket);

    /// Hands free slots to those who wait.
    void pump();

    /// How many would be served before this ticket; an estimate when several tenants wait.
    std::size_t position(const Ticket& ticket) const;
    std::size_t size() const { return waiters_.load(std::memory_order_relaxed); }

    void set_limits(const LineLimits& limits);
    /// What slots are given from. Null closes the gate: all who wait are sent away.
    void set_endpoints(std::shared_ptr<const EndpointSet> endpoints);

private:
    using Woken = std::vector<std::shared_ptr<Ticket>>;

    void resolve(Waiter& waiter, Ticket::State state, Woken& woken);
    void pump_locked(Woken& woken);

    mutable std::mutex mutex_;
    std::atomic<std::uint32_t> waiters_{0};
    WaitingLine line_;
    std::shared_ptr<const EndpointSet> endpoints_;
    Random random_;
};

}  // namespace millrace::routing
