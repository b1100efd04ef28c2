#include "routing/pickers.hpp"

#include <algorithm>

namespace millrace::routing {
namespace {

using Endpoint = std::shared_ptr<EndpointState>;

bool usable(const EndpointState& endpoint, const Avoided& avoid) {
    return !avoid.contains(&endpoint) && endpoint.ready() &&
           endpoint.in_flight.load(std::memory_order_relaxed) < endpoint.limit();
}

const Endpoint& less_busy(const Endpoint& a, const Endpoint& b, Random& random) {
    const auto in_a = a->in_flight.load(std::memory_order_relaxed);
    const auto in_b = b->in_flight.load(std::memory_order_relaxed);
    if (in_a == in_b) {
        return random.below(2) == 0 ? a : b;
    }
    return in_a < in_b ? a : b;
}

/// Two usable endpoints drawn uniformly in one pass (reservoir sampling): for small sets, and for
/// sets where some endpoints drain or are full.
const Endpoint* sample(const EndpointSet& set, Random& random, const Avoided& avoid) {
    const Endpoint* drawn[2] = {nullptr, nullptr};
    std::uint32_t seen = 0;
    for (const auto& endpoint : set.endpoints) {
        if (!usable(*endpoint, avoid)) {
            continue;
        }
        const auto slot = seen < 2 ? seen : random.below(seen + 1);
        if (slot < 2) {
            drawn[slot] = &endpoint;
        }
        ++seen;
    }
    if (seen < 2) {
        return drawn[0];
    }
    return &less_busy(*drawn[0], *drawn[1], random);
}

const Endpoint* draw(const EndpointSet& set, Random& random, const Avoided& avoid) {
    const auto& all = set.endpoints;
    if (all.size() > 2) {
        const auto size = static_cast<std::uint32_t>(all.size());
        const auto first = random.below(size);
        auto second = random.below(size - 1);
        second += second >= first ? 1 : 0;
        if (usable(*all[first], avoid) && usable(*all[second], avoid)) {
            return &less_busy(all[first], all[second], random);
        }
    }
    return sample(set, random, avoid);
}

bool are_only_ready(const EndpointSet& set, const Avoided& endpoints) {
    return std::ranges::none_of(set.endpoints, [&endpoints](const auto& other) {
        return other->ready() && !endpoints.contains(other.get());
    });
}

}  // namespace

EndpointLease pick(const EndpointSet& set, Random& random, const Avoided& avoid) {
    while (const auto* chosen = draw(set, random, avoid)) {
        // Another thread may have taken the last slot since.
        if (auto lease = EndpointLease::try_take(*chosen)) {
            return lease;
        }
    }
    if (!avoid.empty() && are_only_ready(set, avoid)) {
        return pick(set, random);
    }
    return {};
}

}  // namespace millrace::routing
