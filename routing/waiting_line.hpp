// WaitingLine: the bounded order in which requests of one pool wait for an endpoint.
//
// Bands first: a higher priority is always served before a lower one, and takes its place when
// there is no room. Inside a band tenants share by tokens, weighted: start-time fair queueing
// (Goyal, Vin, Cheng 1996), which gives each tenant the share that deficit round robin would, with
// no quantum to tune and no bursts. Inside a tenant the earliest deadline goes first. A tenant is
// charged when it is served, so a request that leaves or is evicted costs nothing. Lower bands may
// starve; inside a band nobody does. Thread-safety: none; the gate's lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "config/base/clock.hpp"

namespace millrace::routing {

struct LineLimits {
    std::uint32_t requests = 2'000;
    std::uint64_t bytes = std::uint64_t{256} << 20U;
    std::uint32_t tenant_requests = 0;  ///< of one tenant in one band; 0 = no limit of its own
};

/// What decides a request's place.
struct WaitOrder {
    std::uint32_t priority = 0;  ///< higher first; equal values are one band
    std::uint32_t tenant = 0;    ///< dense id
    std::uint32_t weight = 1;    ///< of the tenant, >= 1
    std::uint64_t cost = 1;      ///< tokens that it will take, >= 1
    std::uint64_t bytes = 0;     ///< held while it waits
    Instant deadline = Instant::max();
};

/// One that waits; owned by the caller and not to be destroyed while in line.
class Waiter {
public:
    explicit Waiter(const WaitOrder& order) : order_(order) {}
    const WaitOrder& order() const { return order_; }
    bool in_line() const { return sequence_ != 0; }

private:
    friend class WaitingLine;

    WaitOrder order_;
    std::uint64_t sequence_ = 0;  // of arrival; 0 = not in line
};

enum class LineStatus : std::uint8_t { queued, full_requests, full_bytes, full_tenant };

class WaitingLine {
public:
    struct Pushed {
        LineStatus status = LineStatus::queued;
        std::vector<Waiter*> evicted;  ///< no longer in line
    };

    WaitingLine() = default;
    WaitingLine(const WaitingLine&) = delete;
    WaitingLine& operator=(const WaitingLine&) = delete;
    ~WaitingLine();

    /// Evicts from lower bands (the lowest first; there the latest deadline of the tenant with the
    /// most tokens in line) if that makes enough room, else nobody.
    Pushed push(Waiter& waiter);
    /// Next to be served, null when nobody waits. The same one until the line changes.
    Waiter* front() const;
    /// Serves front() and charges its tenant.
    void pop_front();
    /// False when it was not in line.
    bool remove(Waiter& waiter);
    /// Takes out everybody whose deadline has passed.
    std::vector<Waiter*> expire(Instant now);

    /// How many would be served before this one if nobody else came.
    std::size_t position(const Waiter& waiter) const;
    std::size_t size() const { return size_; }
    std::uint64_t bytes() const { return bytes_; }
    /// The earliest of all deadlines; Instant::max() when nobody waits.
    Instant next_deadline() const;

    /// Lower limits turn nobody away who already waits.
    void set_limits(const LineLimits& limits) { limits_ = limits; }

private:
    struct EarlierDeadline {
        bool operator()(const Waiter* a, const Waiter* b) const {
            return std::pair(a->order_.deadline, a->sequence_) <
                   std::pair(b->order_.deadline, b->sequence_);
        }
    };
    /// One tenant in one band.
    struct Lane {
        std::set<Waiter*, EarlierDeadline> waiters;
        std::uint64_t tag = 0;   // virtual time at which its next request may start
        std::uint64_t cost = 0;  // of all its waiters
    };
    struct Band {
        std::map<std::uint32_t, Lane> lanes;                        // by tenant
        std::set<std::pair<std::uint64_t, std::uint32_t>> waiting;  // (tag, tenant), not empty ones
        std::uint64_t virtual_time = 0;
        std::size_t size = 0;
        std::uint64_t bytes = 0;
    };
    using Bands = std::map<std::uint32_t, Band, std::greater<>>;

    LineStatus room_for(const WaitOrder& order) const;
    bool can_evict_for(const WaitOrder& order) const;
    Waiter& least_worthy();
    Waiter* take(Waiter& waiter);

    LineLimits limits_;
    Bands bands_;  // emptied when the last one leaves
    std::uint64_t arrivals_ = 0;
    std::size_t size_ = 0;
    std::uint64_t bytes_ = 0;
};

}  // namespace millrace::routing
