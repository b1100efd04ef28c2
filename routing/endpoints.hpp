// Endpoints, pools and leases: who can serve, and how much is in flight where.
//
// A Pool is a configured backend; its endpoints are an immutable snapshot that the control thread
// replaces. What stays (same URL) keeps its EndpointState, so that counts survive discovery and
// reloads; what is new gets a new generation. A lease holds the state itself, never the name: a
// release can only reach the count that was raised, even when the endpoint was removed and came
// back meanwhile. A copy of the shared_ptr per attempt (one atomic increment) is the price of
// leases that outlive snapshots, sets and pools. Thread-safety: everything here except EndpointView
// may be used from any thread; an EndpointView belongs to one.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/base/clock.hpp"
#include "config/base/published.hpp"
#include "config/base/random.hpp"
#include "routing/endpoint_load.hpp"
#include "routing/health.hpp"
#include "routing/prefix_index.hpp"
#include "routing/slot_learner.hpp"
#include "routing/wait_estimate.hpp"
#include "routing/waiting_line.hpp"

namespace millrace::routing {

/// Where an endpoint listens. Identity is `url()`.
struct EndpointAddress {
    std::string host;  ///< IPv4 literal, IPv6 literal without brackets, or a name
    std::uint16_t port = 0;
    bool https = false;
    std::string name;  ///< DNS name it was found by, for Host and SNI; empty = host

    std::string authority() const;  ///< `name:port`, IPv6 in brackets; the upstream Host field
    std::string url() const;        ///< `http://host:port`
    bool operator==(const EndpointAddress&) const = default;
};

class Gate;

inline constexpr std::uint32_t kUnlimitedSlots = EndpointHealth::kNoCap;
inline constexpr std::uint32_t kLearnedSlots = 0;

/// One endpoint of one generation. The count has its own cache line: every worker writes it for
/// every attempt.
struct EndpointState {
    EndpointState(EndpointAddress where, std::uint64_t number, std::shared_ptr<Gate> of)
        : address(std::move(where)),
          authority(address.authority()),
          url(address.url()),
          generation(number),
          gate(std::move(of)) {}

    const EndpointAddress address;
    const std::string authority;
    const std::string url;
    const std::uint64_t generation;    ///< unique within a PoolDirectory, never reused
    const std::shared_ptr<Gate> gate;  ///< of its pool: told when a lease ends
    std::atomic<bool> draining{false};
    std::atomic<std::uint32_t> slots{kUnlimitedSlots};  ///< leases that it takes at once
    EndpointHealth health;                              ///< may allow fewer
    EndpointLoad load;
    SlotLearner learner;  ///< Pool::review's

    /// Takes new work, if it has a slot.
    bool ready() const { return !draining.load(std::memory_order_relaxed) && health.available(); }
    /// Leases that it takes at once, all in all.
    std::uint32_t limit() const {
        return std::min(slots.load(std::memory_order_relaxed), health.slot_cap());
    }

    alignas(64) std::atomic<std::uint32_t> in_flight{0};  ///< live leases
    std::atomic<std::uint32_t> peak{0};                   ///< most of them since the last review
    std::atomic<std::uint64_t> dispatched{0};             ///< leases ever taken
};

/// One attempt in flight. Move-only; the destructor gives it back.
class EndpointLease {
public:
    EndpointLease() = default;
    /// Whatever its slots: for requests that only this endpoint can answer.
    explicit EndpointLease(std::shared_ptr<EndpointState> endpoint);
    /// Empty when all slots are taken.
    static EndpointLease try_take(const std::shared_ptr<EndpointState>& endpoint);
    EndpointLease(EndpointLease&& other) noexcept
        : endpoint_(std::move(other.endpoint_)),
          prompt_tokens_(std::exchange(other.prompt_tokens_, 0)) {}
    EndpointLease& operator=(EndpointLease&& other) noexcept;
    EndpointLease(const EndpointLease&) = delete;
    EndpointLease& operator=(const EndpointLease&) = delete;
    ~EndpointLease() { release(); }

    explicit operator bool() const { return endpoint_ != nullptr; }
    const EndpointState& operator*() const { return *endpoint_; }
    const EndpointState* operator->() const { return endpoint_.get(); }
    const EndpointState* get() const { return endpoint_.get(); }
    const std::shared_ptr<EndpointState>& shared() const { return endpoint_; }

    /// The endpoint has to compute that many prompt tokens before the first token comes. Once.
    void expect(std::uint32_t prompt_tokens) noexcept;
    /// The first token is there, or will not come.
    void first_token() noexcept;

    /// Gives it back early; harmless when empty.
    void release() noexcept;

private:
    struct Counted {};
    EndpointLease(std::shared_ptr<EndpointState> endpoint, Counted /*already*/)
        : endpoint_(std::move(endpoint)) {}
    void count_peak(std::uint32_t in_flight) const noexcept;

    std::shared_ptr<EndpointState> endpoint_;
    std::uint32_t prompt_tokens_ = 0;  ///< its part of the endpoint's queued_prompt_tokens
};

/// The endpoints of a pool at one moment.
struct EndpointSet {
    std::vector<std::shared_ptr<EndpointState>> endpoints;

    /// At least one endpoint accepts new work, now or when it has a slot.
    bool ready() const;
};

/// What a pool lets in.
struct PoolLimits {
    std::uint32_t slots_per_endpoint = kUnlimitedSlots;  ///< kLearnedSlots = SlotLearner decides
    LineLimits line;
    HealthPolicy health;
    std::size_t prefix_blocks = 0;      ///< remembered per endpoint, for prefix affinity
    Duration advice_age = Duration(0);  ///< scraped figures older than that are dropped
};

class Pool {
public:
    struct Counts {
        std::size_t endpoints = 0;
        std::size_t ready = 0;
        std::size_t draining = 0;
        std::uint64_t in_flight = 0;  ///< leases on removed endpoints included
    };
    struct Change {
        std::size_t kept = 0;
        std::size_t added = 0;
        std::size_t removed = 0;
    };

    Pool(std::string name, std::uint32_t id);
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;
    ~Pool();

    const std::string& name() const { return name_; }
    std::uint32_t id() const {
        return id_;
    }  ///< dense, unique within a PoolDirectory, never reused

    /// Makes `addresses` (duplicates dropped) the endpoints.
    Change update(const std::vector<EndpointAddress>& addresses);
    /// Stops or resumes new work on the endpoint with that URL; false when there is none.
    bool set_draining(std::string_view url, bool draining);
    /// The same for all endpoints; returns how many there are.
    std::size_t set_draining(bool draining);

    void set_limits(const PoolLimits& limits);

    /// What an attempt that began at `started` says about its endpoint; may eject it.
    void report(const EndpointLease& lease, AttemptEvidence evidence, Instant started, Instant now);
    /// The first content token of a stream is there, a prompt-normalised time (routing/ttft_sketch)
    /// after the attempt began at `started`. Only of pools that eject slow endpoints.
    void first_token(const EndpointLease& lease, Duration normalised, Instant started, Instant now);
    /// What a health check says; nothing when there is no such endpoint.
    void checked(std::string_view url, CheckResult result, Instant now);
    /// What the engine of that endpoint reports; nothing when there is no such endpoint. From one
    /// thread, the one that calls review().
    void advised(std::string_view url, const EngineAdvice& advice,
                 std::span<const std::uint64_t> adapters, Instant now);
    /// Judges the last seconds, lets back in whose ejection is over, learns slots, and tells what
    /// changed since the last call. To be called once a second, from one thread.
    std::vector<HealthChange> review(Instant now);
    PoolHealth::Counts health() const { return health_.counts(); }

    WaitEstimate& waits() const { return waits_; }
    /// Which endpoint has seen which prompts.
    PrefixIndex& prefixes() const { return prefixes_; }
    Gate& gate() const { return *gate_; }
    std::shared_ptr<const EndpointSet> snapshot() const { return endpoints_.current(); }
    Counts counts() const;

private:
    friend class EndpointView;

    void set_health_members();
    void size_prefixes(std::size_t endpoints);
    void learn(Instant now);
    void note(std::optional<HealthChange> change);

    const std::string name_;
    const std::uint32_t id_;
    const std::shared_ptr<Gate> gate_;
    mutable WaitEstimate waits_;
    mutable PrefixIndex prefixes_;
    Published<EndpointSet> endpoints_;
    mutable std::mutex mutex_;  // writers and counts() only
    std::uint32_t generations_ = 0;
    std::uint32_t slots_ = kUnlimitedSlots;
    std::size_t prefix_blocks_ = 0;  // per endpoint
    Duration advice_age_{};
    std::vector<HealthChange> changes_;  // since the last review
    Instant reviewed_{};
    PoolHealth health_;
    Random random_;  // health_'s, which guards it
    mutable std::vector<std::weak_ptr<EndpointState>> removed_;
};

/// One thread's cached view of all pools: reading a pool costs one load unless its endpoints
/// changed. Every pool shown to one view comes from one PoolDirectory.
class EndpointView {
public:
    /// Current endpoints; valid until the next call for the same pool. The caller keeps `pool`
    /// alive meanwhile.
    const EndpointSet& of(const Pool& pool);

private:
    std::vector<std::optional<Published<EndpointSet>::Reader>> readers_;  // by Pool::id
};

/// Pools by backend name. It holds them weakly: a pool lives as long as a catalog (or request) that
/// names it, so the catalog that replaces another finds its pools again with counts, drains and
/// generations as they were.
class PoolDirectory {
public:
    /// The pool of that backend, made when there is none.
    std::shared_ptr<Pool> acquire(std::string_view backend);
    /// Null when no live catalog names it.
    std::shared_ptr<Pool> find(std::string_view backend) const;
    /// All live pools, by name.
    std::vector<std::shared_ptr<Pool>> all() const;

private:
    mutable std::mutex mutex_;
    std::uint32_t next_id_ = 0;
    std::size_t sweep_at_ = 64;  // expired entries are dropped at every doubling
    std::map<std::string, std::weak_ptr<Pool>, std::less<>> pools_;
};

}  // namespace millrace::routing
