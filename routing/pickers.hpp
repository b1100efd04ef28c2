// Choosing an endpoint: the least busy of two drawn at random (Mitzenmacher 2001), which balances
// almost as well as looking at all of them and does not send every worker to the same endpoint.
// Thread-safety: free functions over atomics; `Random` belongs to the caller's thread.
#pragma once

#include <array>
#include <cstddef>

#include "config/base/random.hpp"
#include "routing/endpoints.hpp"

namespace millrace::routing {

/// Endpoints that failed one request: to be taken only when nothing else is ready. Compared by
/// identity, never looked into, so that one that is gone does no harm. Holds as many as a request
/// may make attempts; more are forgotten.
class Avoided {
public:
    Avoided() = default;
    // NOLINTNEXTLINE(google-explicit-constructor): one endpoint is the usual set of them
    Avoided(const EndpointState* endpoint) { add(endpoint); }

    void add(const EndpointState* endpoint) {
        if (endpoint != nullptr && count_ < all_.size()) {
            all_[count_++] = endpoint;
        }
    }
    bool empty() const { return count_ == 0; }
    bool contains(const EndpointState* endpoint) const {
        for (std::size_t i = 0; i < count_; ++i) {
            if (all_[i] == endpoint) {
                return true;
            }
        }
        return false;
    }

private:
    std::array<const EndpointState*, 5> all_{};
    std::size_t count_ = 0;
};

/// A lease on an endpoint that is ready and has a free slot; empty when there is none. `avoid`
/// (those that just failed) is taken only when nothing else is ready. Up to two endpoints are both
/// looked at; equal counts are decided at random.
EndpointLease pick(const EndpointSet& set, Random& random, const Avoided& avoid = {});

}  // namespace millrace::routing
