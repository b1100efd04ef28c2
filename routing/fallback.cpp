#include "routing/fallback.hpp"

#include <utility>

namespace millrace::routing {
namespace {

/// Refusals of one pool's queue: the request never left.
bool is_pools_refusal(Errc error) {
    switch (error) {
        case Errc::queue_full:
        case Errc::queue_timeout:
        case Errc::pool_asleep:
        case Errc::pool_starting:
        case Errc::shed:
        case Errc::no_ready_endpoint: return true;
        default: return false;
    }
}

std::optional<Decision> decide_target(const FallbackTarget& target, const RequestFacts& facts,
                                      EndpointView& endpoints, Random& random) {
    std::optional<Decision> decision;
    if (target.only != nullptr) {
        decision = {
            target.rule->model_id, target.only->served_name, target.rule, target.only, nullptr, {}};
    } else if (auto decided = decide(*target.rule, facts, endpoints, random)) {
        decision = *decided;
    }
    if (decision &&
        (decision->target->pool == nullptr || !endpoints.of(*decision->target->pool).ready())) {
        decision.reset();
    }
    return decision;
}

}  // namespace

bool may_fall_back(const RepeatFacts& facts, const PoolFailure& failure) {
    if (!failure.time_left || failure.attempts >= kMaxAttempts) {
        return false;
    }
    if (failure.status != 0) {
        return is_repeatable(facts) && is_about_the_endpoint(failure.status);
    }
    if (is_pools_refusal(failure.error) || was_not_sent(failure.error)) {
        return true;
    }
    // The time of one backend's exchange is over, not the request's.
    return is_repeatable(facts) &&
           (is_endpoints_fault(failure.error) || failure.error == Errc::total_timeout);
}

std::optional<Decision> FallbackPlan::next(const RequestFacts& facts, EndpointView& endpoints,
                                           Random& random) {
    for (std::size_t i = 0; !empty() && i < origin_->fallbacks.size(); ++i) {
        if (((given_ >> i) & 1U) != 0) {
            continue;
        }
        if (auto decision = decide_target(origin_->fallbacks[i], facts, endpoints, random)) {
            given_ |= 1U << i;
            return decision;
        }
    }
    return std::nullopt;
}

std::optional<FallbackPlan::Taken> FallbackPlan::take_free(const RequestFacts& facts,
                                                           EndpointView& endpoints,
                                                           Random& random) {
    for (std::size_t i = 0; !empty() && i < origin_->fallbacks.size(); ++i) {
        if (((given_ >> i) & 1U) != 0) {
            continue;
        }
        auto decision = decide_target(origin_->fallbacks[i], facts, endpoints, random);
        if (!decision) {
            continue;
        }
        if (auto selected = pick_endpoint(*decision, {}, endpoints, random)) {
            given_ |= 1U << i;
            return Taken{*decision, std::move(selected)};
        }
    }
    return std::nullopt;
}

}  // namespace millrace::routing
