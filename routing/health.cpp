#include "routing/health.hpp"

#include <algorithm>

namespace millrace::routing {

bool may_eject(std::size_t ejected, std::size_t total, const HealthPolicy& policy) {
    return total > 1 && (ejected + 1) * 100 <= total * policy.max_ejected_percent;
}

EndpointHealth::Reaction EndpointHealth::report(Verdict verdict,
                                                std::uint32_t failures_in_a_row) {
    if (verdict == Verdict::neutral) {
        return Reaction::none;
    }
    const auto state = state_.load(std::memory_order_relaxed);
    if (verdict == Verdict::failure) {
        const auto failures = failures_.fetch_add(1, std::memory_order_relaxed) + 1;
        const bool enough = failures_in_a_row > 0 &&
                            (state == State::probation || failures >= failures_in_a_row);
        return enough && state != State::ejected ? Reaction::eject : Reaction::none;
    }
    if (failures_.load(std::memory_order_relaxed) != 0) {
        failures_.store(0, std::memory_order_relaxed);
    }
    if (state != State::probation) {
        return Reaction::none;
    }
    const auto cap = cap_.load(std::memory_order_relaxed);
    if (cap >= kProven) {
        cap_.store(kUnlimitedSlots, std::memory_order_relaxed);
        state_.store(State::healthy, std::memory_order_relaxed);
    } else {
        cap_.store(cap * 2, std::memory_order_relaxed);
    }
    return Reaction::widen_cap;
}

Instant EndpointHealth::eject(Instant now, const HealthPolicy& policy, Random& random) {
    if (now - until_ > policy.max_ejection) {
        ejections_ = 0;  // it behaved for so long that the past does not count
    }
    ++ejections_;
    const auto whole = std::min<Duration>(policy.base_ejection * ejections_, policy.max_ejection);
    // Up to a tenth longer, so that what fell together does not come back together.
    until_ = now + whole + whole * random.below(100) / 1'000;
    failures_.store(0, std::memory_order_relaxed);
    state_.store(State::ejected, std::memory_order_relaxed);
    return until_;
}

bool EndpointHealth::readmit(Instant now) {
    if (state_.load(std::memory_order_relaxed) != State::ejected || now < until_) {
        return false;
    }
    cap_.store(1, std::memory_order_relaxed);
    state_.store(State::probation, std::memory_order_relaxed);
    return true;
}

}  // namespace millrace::routing
