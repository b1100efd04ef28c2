// Fallback: whether a request that its pool could not answer goes on to another model, and to
// which.
//
// The list is that of the model the request resolved to; lists of the targets themselves do not
// count, so that it ends. A target without a ready endpoint is passed over: a request that has
// failed or waited once does not wait for a second cold start. Thread-safety: a FallbackPlan
// belongs to one request; `EndpointView` and `Random` to the calling thread.
#pragma once

#include <cstdint>
#include <optional>

#include "config/base/error.hpp"
#include "config/base/random.hpp"
#include "routing/decision.hpp"
#include "routing/endpoints.hpp"
#include "routing/retry.hpp"

namespace millrace::routing {

/// Attempts of one request in all its pools.
inline constexpr std::uint32_t kMaxAttempts = 6;

/// What is known when a request could not be answered in its pool and nothing was relayed.
struct PoolFailure {
    Errc error = Errc::internal;
    std::uint16_t status = 0;    ///< the backend answered with this error instead; 0 = no answer
    std::uint32_t attempts = 0;  ///< made so far, in all pools
    bool time_left = true;       ///< of the request's own limit
};

/// Whether another pool may try. Never for what the client did or we refuse in every pool, and
/// never for a request that would be stored twice.
bool may_fall_back(const RepeatFacts& facts, const PoolFailure& failure);

class FallbackPlan {
public:
    FallbackPlan() = default;
    explicit FallbackPlan(const Rule& origin) : origin_(&origin) {}

    bool empty() const { return origin_ == nullptr || origin_->fallbacks.empty(); }

    /// The first target that was not given out before and has a ready endpoint.
    std::optional<Decision> next(const RequestFacts& facts, EndpointView& endpoints,
                                 Random& random);

    struct Taken {
        Decision decision;
        Selected selected;
    };
    /// The same for a target with a free slot that nobody waits for; the slot is taken.
    std::optional<Taken> take_free(const RequestFacts& facts, EndpointView& endpoints,
                                   Random& random);

private:
    const Rule* origin_ = nullptr;
    std::uint32_t given_ = 0;  // a bit per target
};

}  // namespace millrace::routing
