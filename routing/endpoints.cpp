#include "routing/endpoints.hpp"

#include <algorithm>
#include <iterator>
#include <unordered_map>

#include "config/base/assert.hpp"
#include "routing/gate.hpp"

namespace millrace::routing {
namespace {

std::string host_and_port(std::string_view host, std::uint16_t port) {
    const bool ipv6 = host.find(':') != std::string_view::npos;
    std::string out;
    out += ipv6 ? "[" : "";
    out += host;
    out += ipv6 ? "]:" : ":";
    out += std::to_string(port);
    return out;
}

}  // namespace

std::string EndpointAddress::authority() const {
    return host_and_port(name.empty() ? host : name, port);
}

std::string EndpointAddress::url() const {
    return (https ? "https://" : "http://") + host_and_port(host, port);
}

EndpointLease::EndpointLease(std::shared_ptr<EndpointState> endpoint)
    : endpoint_(std::move(endpoint)) {
    if (endpoint_) {
        count_peak(endpoint_->in_flight.fetch_add(1, std::memory_order_relaxed) + 1);
        endpoint_->dispatched.fetch_add(1, std::memory_order_relaxed);
    }
}

EndpointLease EndpointLease::try_take(const std::shared_ptr<EndpointState>& endpoint) {
    const auto slots = endpoint->limit();
    auto in_flight = endpoint->in_flight.load(std::memory_order_relaxed);
    do {
        if (in_flight >= slots) {
            return {};
        }
    } while (!endpoint->in_flight.compare_exchange_weak(in_flight, in_flight + 1,
                                                        std::memory_order_seq_cst));
    endpoint->dispatched.fetch_add(1, std::memory_order_relaxed);
    EndpointLease lease(endpoint, Counted{});
    lease.count_peak(in_flight + 1);
    return lease;
}

EndpointLease& EndpointLease::operator=(EndpointLease&& other) noexcept {
    if (this != &other) {
        release();
        endpoint_ = std::move(other.endpoint_);
        prompt_tokens_ = std::exchange(other.prompt_tokens_, 0);
    }
    return *this;
}

/// Two threads may each overwrite the other's larger value: one request too few in a peak is
/// nothing.
void EndpointLease::count_peak(std::uint32_t in_flight) const noexcept {
    if (in_flight > endpoint_->peak.load(std::memory_order_relaxed)) {
        endpoint_->peak.store(in_flight, std::memory_order_relaxed);
    }
}

void EndpointLease::expect(std::uint32_t prompt_tokens) noexcept {
    prompt_tokens_ = prompt_tokens;
    endpoint_->load.queued_prompt_tokens.fetch_add(prompt_tokens, std::memory_order_relaxed);
}

void EndpointLease::first_token() noexcept {
    if (const auto tokens = std::exchange(prompt_tokens_, 0); tokens > 0) {
        endpoint_->load.queued_prompt_tokens.fetch_sub(tokens, std::memory_order_relaxed);
    }
}

void EndpointLease::release() noexcept {
    if (endpoint_) {
        first_token();
        // Sequentially consistent for the gate's sake (see there); so whoever sees zero (a drain)
        // also sees what the attempt did.
        const auto before = endpoint_->in_flight.fetch_sub(1, std::memory_order_seq_cst);
        MILLRACE_ASSERT(before > 0);
        const auto endpoint = std::exchange(endpoint_, nullptr);
        if (endpoint->gate->crowded()) {
            endpoint->gate->pump();
        }
    }
}

bool EndpointSet::ready() const {
    return std::ranges::any_of(endpoints, [](const auto& endpoint) { return endpoint->ready(); });
}

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

const EndpointSet& EndpointView::of(const Pool& pool) {
    if (pool.id() >= readers_.size()) {
        readers_.resize(pool.id() + 1);
    }
    auto& reader = readers_[pool.id()];
    if (!reader) {
        reader.emplace(pool.endpoints_);
    }
    return *reader->get();
}

std::shared_ptr<Pool> PoolDirectory::acquire(std::string_view backend) {
    const std::lock_guard lock(mutex_);
    if (const auto found = pools_.find(backend); found != pools_.end()) {
        if (auto pool = found->second.lock()) {
            return pool;
        }
    }
    auto pool = std::make_shared<Pool>(std::string(backend), next_id_++);
    pools_.insert_or_assign(std::string(backend), pool);
    if (pools_.size() >= sweep_at_) {
        std::erase_if(pools_, [](const auto& entry) { return entry.second.expired(); });
        sweep_at_ = std::max<std::size_t>(64, pools_.size() * 2);
    }
    return pool;
}

std::shared_ptr<Pool> PoolDirectory::find(std::string_view backend) const {
    const std::lock_guard lock(mutex_);
    const auto found = pools_.find(backend);
    return found == pools_.end() ? nullptr : found->second.lock();
}

std::vector<std::shared_ptr<Pool>> PoolDirectory::all() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::shared_ptr<Pool>> pools;
    for (const auto& [name, weak] : pools_) {
        if (auto pool = weak.lock()) {
            pools.push_back(std::move(pool));
        }
    }
    return pools;
}

}  // namespace millrace::routing
