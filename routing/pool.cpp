// The pool half of routing/endpoints: what discovery, health, learned slots and drains do to the
// endpoints of one backend.
#include <algorithm>
#include <iterator>
#include <unordered_map>

#include "routing/endpoints.hpp"
#include "routing/gate.hpp"

namespace millrace::routing {

Pool::Pool(std::string name, std::uint32_t id)
    : name_(std::move(name)),
      id_(id),
      gate_(std::make_shared<Gate>(id)),
      prefixes_(0, PrefixIndex::kMaxShards),
      endpoints_(std::make_shared<const EndpointSet>()),
      random_(id) {}

Pool::~Pool() {
    gate_->set_endpoints(nullptr);  // they hold the gate
}

void Pool::set_limits(const PoolLimits& limits) {
    {
        const std::lock_guard lock(mutex_);
        slots_ = limits.slots_per_endpoint;
        advice_age_ = limits.advice_age;
        const auto current = endpoints_.current();
        for (const auto& endpoint : current->endpoints) {
            endpoint->slots.store(slots_ == kLearnedSlots ? endpoint->learner.limit() : slots_,
                                  std::memory_order_relaxed);
        }
        prefix_blocks_ = limits.prefix_blocks;
        size_prefixes(current->endpoints.size());
        auto changes = health_.configure(limits.health, reviewed_);
        std::ranges::move(changes, std::back_inserter(changes_));
    }
    gate_->set_limits(limits.line);
    gate_->pump();
}

void Pool::report(const EndpointLease& lease, AttemptEvidence evidence, Instant started,
                  Instant now) {
    // What it allows anew is given out when the lease ends, which is next.
    note(health_.attempt(lease.shared()->health, evidence, started, now, random_));
}

void Pool::first_token(const EndpointLease& lease, Duration normalised, Instant started,
                       Instant now) {
    auto& health = lease.shared()->health;
    const auto before = health.slot_cap();
    note(health_.first_token(health, normalised, started, now));
    if (health.slot_cap() > before && gate_->crowded()) {
        gate_->pump();  // the lease may last for minutes
    }
}

void Pool::checked(std::string_view url, CheckResult result, Instant now) {
    const auto endpoints = endpoints_.current();
    const auto found = std::ranges::find(endpoints->endpoints, url,
                                         [](const auto& endpoint) { return endpoint->url; });
    if (found != endpoints->endpoints.end()) {
        note(health_.checked((*found)->health, result, now));
        gate_->pump();
    }
}

void Pool::advised(std::string_view url, const EngineAdvice& advice,
                   std::span<const std::uint64_t> adapters, Instant now) {
    const auto endpoints = endpoints_.current();
    const auto found = std::ranges::find(endpoints->endpoints, url,
                                         [](const auto& endpoint) { return endpoint->url; });
    if (found != endpoints->endpoints.end()) {
        (*found)->load.advise(advice, adapters, now);
    }
}

void Pool::size_prefixes(std::size_t endpoints) {
    prefixes_.resize(prefix_blocks_ * endpoints * PrefixIndex::kBytesPerBlock);
}

/// With mutex_ held.
void Pool::learn(Instant now) {
    for (const auto& endpoint : endpoints_.current()->endpoints) {
        endpoint->load.expire(now, advice_age_);
        SlotEvidence evidence;
        evidence.now = now;
        evidence.peak = endpoint->peak.exchange(endpoint->in_flight.load(std::memory_order_relaxed),
                                                std::memory_order_relaxed);
        evidence.waiting = endpoint->load.advice().waiting;
        evidence.ttft = endpoint->load.first_tokens.take(now);
        if (slots_ == kLearnedSlots) {
            endpoint->slots.store(endpoint->learner.tick(evidence).to, std::memory_order_relaxed);
        }
    }
}

void Pool::note(std::optional<HealthChange> change) {
    if (change) {
        const std::lock_guard lock(mutex_);
        changes_.push_back(*std::move(change));
    }
}

std::vector<HealthChange> Pool::review(Instant now) {
    auto swept = health_.sweep(now, random_);
    std::vector<HealthChange> changes;
    {
        const std::lock_guard lock(mutex_);
        reviewed_ = now;
        changes.swap(changes_);
        learn(now);
    }
    std::ranges::move(swept, std::back_inserter(changes));
    gate_->pump();
    return changes;
}

/// With mutex_ held.
void Pool::set_health_members() {
    std::vector<HealthMember> members;
    for (const auto& endpoint : endpoints_.current()->endpoints) {
        if (!endpoint->draining.load(std::memory_order_relaxed)) {
            members.push_back({std::shared_ptr<EndpointHealth>(endpoint, &endpoint->health),
                               &endpoint->in_flight, endpoint->url});
        }
    }
    auto changes = health_.set_members(std::move(members), reviewed_);
    std::ranges::move(changes, std::back_inserter(changes_));
}

Pool::Change Pool::update(const std::vector<EndpointAddress>& addresses) {
    const std::lock_guard lock(mutex_);
    const auto current = endpoints_.current();
    std::unordered_map<std::string_view, const std::shared_ptr<EndpointState>*> leaving;
    for (const auto& endpoint : current->endpoints) {
        leaving.emplace(endpoint->url, &endpoint);
    }
    Change change;
    auto next = std::make_shared<EndpointSet>();
    for (const auto& address : addresses) {
        const auto url = address.url();
        if (std::ranges::any_of(next->endpoints, [&](const auto& e) { return e->url == url; })) {
            continue;
        }
        const auto found = leaving.find(url);
        // Another name behind the same address means another SNI and Host: a new endpoint.
        if (found != leaving.end() && (*found->second)->address == address) {
            next->endpoints.push_back(*found->second);
            leaving.erase(found);
            ++change.kept;
            continue;
        }
        const auto generation = (std::uint64_t{id_} << 32U) | ++generations_;
        next->endpoints.push_back(std::make_shared<EndpointState>(address, generation, gate_));
        next->endpoints.back()->slots.store(slots_ == kLearnedSlots ? kFirstSlots : slots_,
                                            std::memory_order_relaxed);
        ++change.added;
    }
    change.removed = leaving.size();
    std::erase_if(removed_, [](const auto& endpoint) { return endpoint.expired(); });
    for (const auto& [url, endpoint] : leaving) {
        removed_.emplace_back(*endpoint);
    }
    if (next->endpoints != current->endpoints) {
        endpoints_.publish(next);
        for (const auto& [url, endpoint] : leaving) {
            prefixes_.forget((*endpoint)->generation);
        }
        size_prefixes(next->endpoints.size());
        set_health_members();
        gate_->set_endpoints(std::move(next));
    }
    return change;
}

bool Pool::set_draining(std::string_view url, bool draining) {
    {
        const std::lock_guard lock(mutex_);
        const auto current = endpoints_.current();
        const auto found = std::ranges::find(current->endpoints, url,
                                             [](const auto& endpoint) { return endpoint->url; });
        if (found == current->endpoints.end()) {
            return false;
        }
        (*found)->draining.store(draining, std::memory_order_relaxed);
        set_health_members();
    }
    gate_->pump();
    return true;
}

std::size_t Pool::set_draining(bool draining) {
    std::size_t count = 0;
    {
        const std::lock_guard lock(mutex_);
        const auto current = endpoints_.current();
        for (const auto& endpoint : current->endpoints) {
            endpoint->draining.store(draining, std::memory_order_relaxed);
        }
        count = current->endpoints.size();
        set_health_members();
    }
    gate_->pump();
    return count;
}

Pool::Counts Pool::counts() const {
    const std::lock_guard lock(mutex_);
    Counts counts;
    for (const auto& endpoint : endpoints_.current()->endpoints) {
        ++counts.endpoints;
        counts.ready += endpoint->ready() ? 1 : 0;
        counts.draining += endpoint->draining.load(std::memory_order_relaxed) ? 1 : 0;
        counts.in_flight += endpoint->in_flight.load(std::memory_order_acquire);
    }
    std::erase_if(removed_, [](const auto& endpoint) { return endpoint.expired(); });
    for (const auto& weak : removed_) {
        if (const auto endpoint = weak.lock()) {
            counts.in_flight += endpoint->in_flight.load(std::memory_order_acquire);
        }
    }
    return counts;
}

}  // namespace millrace::routing
