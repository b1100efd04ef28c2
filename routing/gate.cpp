#include "routing/gate.hpp"

#include <algorithm>
#include <utility>

namespace millrace::routing {
namespace {

/// Outside the lock: a wake-up may come back into the gate.
void wake_all(const std::vector<std::shared_ptr<Ticket>>& woken) {
    for (const auto& ticket : woken) {
        ticket->wake();
    }
}

}  // namespace

Gate::Entered Gate::enter(const std::shared_ptr<Ticket>& ticket) {
    Woken woken;
    auto entered = Entered::waiting;
    {
        const std::lock_guard lock(mutex_);
        ticket->self_ = ticket;
        waiters_.fetch_add(1, std::memory_order_seq_cst);
        const auto pushed = line_.push(*ticket);
        if (pushed.status != LineStatus::queued) {
            waiters_.fetch_sub(1, std::memory_order_seq_cst);
            entered = Entered::full;
        }
        for (auto* waiter : pushed.evicted) {
            resolve(*waiter, Ticket::State::evicted, woken);
        }
        pump_locked(woken);
        if (ticket->state_ == Ticket::State::granted) {
            std::erase(woken, ticket);  // it is told here
            entered = Entered::granted;
        }
    }
    wake_all(woken);
    return entered;
}

Gate::Left Gate::leave(Ticket& ticket) {
    const std::lock_guard lock(mutex_);
    if (ticket.state_ == Ticket::State::waiting) {
        line_.remove(ticket);
        waiters_.fetch_sub(1, std::memory_order_seq_cst);
    }
    return {ticket.state_, std::move(ticket.selected_)};
}

void Gate::pump() {
    Woken woken;
    {
        const std::lock_guard lock(mutex_);
        pump_locked(woken);
    }
    wake_all(woken);
}

std::size_t Gate::position(const Ticket& ticket) const {
    const std::lock_guard lock(mutex_);
    return ticket.state_ == Ticket::State::waiting ? line_.position(ticket) : 0;
}

void Gate::set_limits(const LineLimits& limits) {
    const std::lock_guard lock(mutex_);
    line_.set_limits(limits);
}

void Gate::set_endpoints(std::shared_ptr<const EndpointSet> endpoints) {
    Woken woken;
    std::shared_ptr<const EndpointSet> old;  // its endpoints may hold the last reference to us
    {
        const std::lock_guard lock(mutex_);
        old = std::exchange(endpoints_, std::move(endpoints));
        if (endpoints_ == nullptr) {
            while (auto* waiter = line_.front()) {
                line_.remove(*waiter);
                resolve(*waiter, Ticket::State::closed, woken);
            }
        }
        pump_locked(woken);
    }
    wake_all(woken);
}

void Gate::resolve(Waiter& waiter, Ticket::State state, Woken& woken) {
    auto& ticket = static_cast<Ticket&>(waiter);
    ticket.state_ = state;
    waiters_.fetch_sub(1, std::memory_order_seq_cst);
    if (auto alive = ticket.self_.lock()) {
        woken.push_back(std::move(alive));
    }
}

void Gate::pump_locked(Woken& woken) {
    if (endpoints_ == nullptr) {
        return;
    }
    while (auto* waiter = line_.front()) {
        auto& ticket = static_cast<Ticket&>(*waiter);
        auto selected = select(*endpoints_, *ticket.selection_, random_);
        if (!selected) {
            return;
        }
        line_.pop_front();
        ticket.selected_ = std::move(selected);
        resolve(ticket, Ticket::State::granted, woken);
    }
}

}  // namespace millrace::routing
