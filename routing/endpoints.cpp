#include "routing/endpoints.hpp"

#include <algorithm>
#include <utility>

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
