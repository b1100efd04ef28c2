#include "routing/waiting_line.hpp"

#include <algorithm>
#include <iterator>

#include "config/base/assert.hpp"

namespace millrace::routing {
namespace {

/// Virtual time has this many units per token, so that weights divide without losing tokens.
constexpr std::uint64_t kUnits = 1'024;

std::uint64_t virtual_cost(const WaitOrder& order) {
    return order.cost * kUnits / order.weight;
}

}  // namespace

WaitingLine::~WaitingLine() {
    MILLRACE_ASSERT(size_ == 0);
}

LineStatus WaitingLine::room_for(const WaitOrder& order) const {
    if (size_ >= limits_.requests) {
        return LineStatus::full_requests;
    }
    return bytes_ + order.bytes > limits_.bytes ? LineStatus::full_bytes : LineStatus::queued;
}

bool WaitingLine::can_evict_for(const WaitOrder& order) const {
    std::size_t requests = 0;
    std::uint64_t bytes = 0;
    for (auto band = bands_.rbegin(); band != bands_.rend() && band->first < order.priority;
         ++band) {
        requests += band->second.size;
        bytes += band->second.bytes;
    }
    return requests > 0 && size_ - requests < limits_.requests &&
           bytes_ - bytes + order.bytes <= limits_.bytes;
}

Waiter& WaitingLine::least_worthy() {
    const auto band = std::ranges::find_if(bands_.rbegin(), bands_.rend(),
                                           [](const auto& entry) { return entry.second.size > 0; });
    auto& lanes = band->second.lanes;
    const auto most =
        std::ranges::max_element(lanes, {}, [](const auto& entry) { return entry.second.cost; });
    return **most->second.waiters.rbegin();
}

WaitingLine::Pushed WaitingLine::push(Waiter& waiter) {
    MILLRACE_ASSERT(!waiter.in_line() && waiter.order_.weight > 0);
    const auto& order = waiter.order_;
    Pushed pushed;
    if (limits_.tenant_requests > 0) {
        const auto band = bands_.find(order.priority);
        if (band != bands_.end() && band->second.lanes.contains(order.tenant) &&
            band->second.lanes[order.tenant].waiters.size() >= limits_.tenant_requests) {
            return {LineStatus::full_tenant, {}};
        }
    }
    pushed.status = room_for(order);
    if (pushed.status != LineStatus::queued) {
        if (!can_evict_for(order)) {
            return pushed;
        }
        while (room_for(order) != LineStatus::queued) {
            pushed.evicted.push_back(take(least_worthy()));
        }
        pushed.status = LineStatus::queued;
    }
    waiter.sequence_ = ++arrivals_;
    auto& band = bands_[order.priority];
    auto& lane = band.lanes[order.tenant];
    if (lane.waiters.empty()) {
        // Time in which it did not wait is no credit, and what it was served ahead is no gift.
        lane.tag = std::max(lane.tag, band.virtual_time);
        band.waiting.emplace(lane.tag, order.tenant);
    }
    lane.waiters.insert(&waiter);
    lane.cost += order.cost;
    ++band.size;
    band.bytes += order.bytes;
    ++size_;
    bytes_ += order.bytes;
    return pushed;
}

Waiter* WaitingLine::front() const {
    for (const auto& [priority, band] : bands_) {
        if (!band.waiting.empty()) {
            return *band.lanes.at(band.waiting.begin()->second).waiters.begin();
        }
    }
    return nullptr;
}

void WaitingLine::pop_front() {
    auto* waiter = front();
    MILLRACE_ASSERT(waiter != nullptr);
    auto& band = bands_[waiter->order_.priority];
    auto& lane = band.lanes[waiter->order_.tenant];
    band.virtual_time = lane.tag;
    band.waiting.erase({lane.tag, waiter->order_.tenant});
    lane.tag += virtual_cost(waiter->order_);
    if (lane.waiters.size() > 1) {
        band.waiting.emplace(lane.tag, waiter->order_.tenant);
    }
    take(*waiter);
}

Waiter* WaitingLine::take(Waiter& waiter) {
    const auto& order = waiter.order_;
    auto& band = bands_[order.priority];
    auto& lane = band.lanes[order.tenant];
    lane.waiters.erase(&waiter);
    lane.cost -= order.cost;
    if (lane.waiters.empty()) {
        band.waiting.erase({lane.tag, order.tenant});
    }
    --band.size;
    band.bytes -= order.bytes;
    --size_;
    bytes_ -= order.bytes;
    waiter.sequence_ = 0;
    if (size_ == 0) {
        bands_.clear();  // nobody to be fair to
    }
    return &waiter;
}

bool WaitingLine::remove(Waiter& waiter) {
    if (!waiter.in_line()) {
        return false;
    }
    take(waiter);
    return true;
}

std::vector<Waiter*> WaitingLine::expire(Instant now) {
    std::vector<Waiter*> expired;
    for (const auto& [priority, band] : bands_) {
        for (const auto& [tenant, lane] : band.lanes) {
            for (auto* waiter : lane.waiters) {
                if (waiter->order_.deadline > now) {
                    break;
                }
                expired.push_back(waiter);
            }
        }
    }
    for (auto* waiter : expired) {
        take(*waiter);
    }
    return expired;
}

std::size_t WaitingLine::position(const Waiter& waiter) const {
    std::size_t ahead = 0;
    for (const auto& [priority, band] : bands_) {
        if (priority > waiter.order_.priority) {
            ahead += band.size;
        }
    }
    const auto& band = bands_.at(waiter.order_.priority);
    const auto& own = band.lanes.at(waiter.order_.tenant);
    std::uint64_t start = own.tag;
    for (const auto* other : own.waiters) {
        if (other == &waiter) {
            break;
        }
        start += virtual_cost(other->order_);
        ++ahead;
    }
    for (const auto& [tenant, lane] : band.lanes) {
        if (&lane == &own) {
            continue;
        }
        std::uint64_t tag = lane.tag;
        for (const auto* other : lane.waiters) {
            if (std::pair(tag, tenant) >= std::pair(start, waiter.order_.tenant)) {
                break;
            }
            tag += virtual_cost(other->order_);
            ++ahead;
        }
    }
    return ahead;
}

Instant WaitingLine::next_deadline() const {
    Instant earliest = Instant::max();
    for (const auto& [priority, band] : bands_) {
        for (const auto& [tag, tenant] : band.waiting) {
            earliest =
                std::min(earliest, (*band.lanes.at(tenant).waiters.begin())->order_.deadline);
        }
    }
    return earliest;
}

}  // namespace millrace::routing
