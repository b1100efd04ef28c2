#include "routing/health.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace millrace::routing {
namespace {

HealthState state_of(Circuit circuit) {
    switch (circuit) {
        case Circuit::ejected: return HealthState::ejected;
        case Circuit::half_open: return HealthState::half_open;
        case Circuit::closed: break;
    }
    return HealthState::healthy;
}

HealthChange change_of(const HealthMember& member, HealthState from, HealthState to,
                       HealthCause cause) {
    return {.endpoint = std::string(member.url), .from = from, .to = to, .cause = cause};
}

}  // namespace

WindowStats EndpointHealth::totals() const {
    return {.good = good_.load(std::memory_order_relaxed),
            .bad = bad_.load(std::memory_order_relaxed),
            .first_tokens = first_tokens_.load(std::memory_order_relaxed),
            .first_token_ns = first_token_ns_.load(std::memory_order_relaxed)};
}

PoolHealth::Changes PoolHealth::configure(const HealthPolicy& policy, Instant now) {
    const std::lock_guard lock(mutex_);
    policy_ = policy;
    return settle(now);
}

PoolHealth::Changes PoolHealth::set_members(std::vector<HealthMember> members, Instant now) {
    const std::lock_guard lock(mutex_);
    members_ = std::move(members);
    return settle(now);
}

std::optional<HealthChange> PoolHealth::succeeded(EndpointHealth& endpoint, Instant started,
                                                  Instant now) {
    const std::lock_guard lock(mutex_);
    endpoint.failures_in_a_row_ = 0;
    endpoint.attention_.fetch_and(static_cast<std::uint8_t>(~EndpointHealth::kFailing),
                                  std::memory_order_relaxed);
    return trusted(endpoint, started, now);
}

std::optional<HealthChange> PoolHealth::earn_trust(EndpointHealth& endpoint, Instant started,
                                                   Instant now) {
    const std::lock_guard lock(mutex_);
    return trusted(endpoint, started, now);
}

std::optional<HealthChange> PoolHealth::trusted(EndpointHealth& endpoint, Instant started,
                                                Instant now) {
    auto& breaker = endpoint.breaker_;
    const auto* found = find(endpoint);
    if (breaker.state() != Circuit::half_open || started < breaker.since() || found == nullptr) {
        return std::nullopt;
    }
    if (!breaker.advance(policy_.breaker, now)) {
        endpoint.cap_.store(cap_of(endpoint), std::memory_order_relaxed);
        return std::nullopt;
    }
    restart(endpoint);
    apply();
    return change_of(*found, HealthState::half_open, HealthState::healthy,
                     HealthCause::trials_succeeded);
}

std::optional<HealthChange> PoolHealth::failed(EndpointHealth& endpoint, Instant started,
                                               Instant now, Random& random) {
    endpoint.bad_.fetch_add(1, std::memory_order_relaxed);
    const std::lock_guard lock(mutex_);
    const auto& breaker = endpoint.breaker_;
    const auto* found = find(endpoint);
    // What started before the present state is the aftermath of what led to it.
    if (found == nullptr || breaker.state() == Circuit::ejected || started < breaker.since()) {
        return std::nullopt;
    }
    if (breaker.state() == Circuit::half_open) {
        return eject(*found, HealthCause::trial_failed, now, random);
    }
    ++endpoint.failures_in_a_row_;
    endpoint.attention_.fetch_or(EndpointHealth::kFailing, std::memory_order_relaxed);
    const auto limit = policy_.outliers.consecutive_failures;
    if (limit == 0 || endpoint.failures_in_a_row_ < limit) {
        return std::nullopt;
    }
    return eject(*found, HealthCause::consecutive_failures, now, random);
}

std::optional<HealthChange> PoolHealth::checked(EndpointHealth& endpoint, CheckResult result,
                                                Instant now) {
    const std::lock_guard lock(mutex_);
    const auto* found = find(endpoint);
    if (!policy_.checks.enabled || found == nullptr) {
        return std::nullopt;
    }
    using Connections = EndpointHealth::Connections;
    // Either way it has been looked into; the next announcement is a new one.
    auto announced = Connections::closing;
    const bool shuts_down = endpoint.connections_.compare_exchange_strong(
                                announced, Connections::kept, std::memory_order_relaxed) &&
                            !result.ok;
    if (result.ok != endpoint.unhealthy_) {
        endpoint.checks_in_a_row_ = 0;
        return std::nullopt;
    }
    const auto needed = endpoint.unhealthy_ ? policy_.checks.healthy_after
                        : shuts_down        ? 1
                                            : policy_.checks.unhealthy_after;
    if (++endpoint.checks_in_a_row_ < needed) {
        return std::nullopt;
    }
    endpoint.checks_in_a_row_ = 0;
    endpoint.unhealthy_ = !endpoint.unhealthy_;
    if (endpoint.unhealthy_) {
        apply();
        return change_of(*found, HealthState::healthy, HealthState::unhealthy,
                         shuts_down ? HealthCause::shutting_down : HealthCause::checks_failed);
    }
    if (endpoint.breaker_.state() == Circuit::closed) {
        endpoint.breaker_.close(now);  // what attempts said until here is about the outage
        restart(endpoint);
    }
    apply();
    return change_of(*found, HealthState::unhealthy, HealthState::healthy,
                     HealthCause::check_passed);
}

PoolHealth::Changes PoolHealth::sweep(Instant now, Random& random) {
    const std::lock_guard lock(mutex_);
    Changes changes;
    std::vector<WindowStats> stats;
    stats.reserve(members_.size());
    for (const auto& member : members_) {
        auto& endpoint = *member.health;
        endpoint.window_.push(endpoint.totals(), now);
        stats.push_back(endpoint.window_.stats(now));
        if (endpoint.breaker_.expire(now)) {
            half_open(member);
            changes.push_back(change_of(member, HealthState::ejected, HealthState::half_open,
                                        HealthCause::ejection_over));
        } else if (endpoint.breaker_.state() == Circuit::half_open) {
            endpoint.left_over_ =
                std::min(endpoint.left_over_, member.in_flight->load(std::memory_order_relaxed));
        }
    }
    for (const auto& verdict : judge(stats, policy_.outliers)) {
        const auto& member = members_[verdict.index];
        if (member.health->breaker_.state() == Circuit::closed) {
            if (auto change = eject(member, verdict.cause, now, random)) {
                changes.push_back(*std::move(change));
            }
        }
    }
    apply();
    return changes;
}

PoolHealth::Counts PoolHealth::counts() const {
    const std::lock_guard lock(mutex_);
    return count();
}

const HealthMember* PoolHealth::find(const EndpointHealth& endpoint) const {
    const auto found = std::ranges::find_if(
        members_, [&](const HealthMember& member) { return member.health.get() == &endpoint; });
    return found == members_.end() ? nullptr : &*found;
}

/// Only if the pool can spare it; one that is half-open is spared already.
std::optional<HealthChange> PoolHealth::eject(const HealthMember& member, HealthCause cause,
                                              Instant now, Random& random) {
    auto& endpoint = *member.health;
    const auto from = endpoint.breaker_.state();
    if (from == Circuit::closed) {
        const auto counts = count();
        if (endpoint.unhealthy_ ||  // is out already, and needs no share of what can be spared
            counts.ejected + counts.half_open >=
                allowed_ejections(counts.members, policy_.outliers.max_ejected_percent)) {
            return std::nullopt;
        }
    }
    endpoint.breaker_.eject(policy_.breaker, now, random);
    endpoint.failures_in_a_row_ = 0;
    endpoint.attention_.store(0, std::memory_order_relaxed);
    apply();
    auto change = change_of(member, state_of(from), HealthState::ejected, cause);
    change.until = endpoint.breaker_.until();
    return change;
}

void PoolHealth::half_open(const HealthMember& member) {
    // Attempts from before the ejection may run for minutes; they must not take the trial's place.
    member.health->left_over_ = member.in_flight->load(std::memory_order_relaxed);
    member.health->attention_.store(EndpointHealth::kHalfOpen, std::memory_order_relaxed);
}

/// A clean record: what led to the last state must not lead there again.
void PoolHealth::restart(EndpointHealth& endpoint) {
    endpoint.failures_in_a_row_ = 0;
    endpoint.attention_.store(0, std::memory_order_relaxed);
    endpoint.window_.clear(endpoint.totals());
}

/// What other members or another policy change about those that are out.
PoolHealth::Changes PoolHealth::settle(Instant now) {
    Changes changes;
    for (const auto& member : members_) {
        if (!policy_.checks.enabled) {
            member.health->checks_in_a_row_ = 0;
            if (std::exchange(member.health->unhealthy_, false)) {
                changes.push_back(change_of(member, HealthState::unhealthy, HealthState::healthy,
                                            HealthCause::checks_off));
            }
        }
    }
    release_excess(now, changes);
    apply();
    return changes;
}

/// Those nearest to their return come back until the rest can be spared.
void PoolHealth::release_excess(Instant now, Changes& changes) {
    std::vector<std::pair<Instant, const HealthMember*>> out;
    for (const auto& member : members_) {
        const auto& breaker = member.health->breaker_;
        if (breaker.state() != Circuit::closed) {
            out.emplace_back(breaker.until(), &member);  // long past when half-open
        }
    }
    const auto allowed = allowed_ejections(members_.size(), policy_.outliers.max_ejected_percent);
    if (out.size() <= allowed) {
        return;
    }
    std::ranges::sort(out);
    out.resize(out.size() - allowed);
    for (const auto& [until, member] : out) {
        auto& endpoint = *member->health;
        changes.push_back(change_of(*member, state_of(endpoint.breaker_.state()),
                                    HealthState::healthy, HealthCause::too_few_endpoints));
        endpoint.breaker_.close(now);
        restart(endpoint);
    }
}

PoolHealth::Counts PoolHealth::count() const {
    Counts counts{.members = members_.size()};
    std::size_t full = 0;
    for (const auto& member : members_) {
        const auto& endpoint = *member.health;
        const auto circuit = endpoint.breaker_.state();
        counts.unhealthy += endpoint.unhealthy_ ? 1 : 0;
        counts.ejected += circuit == Circuit::ejected ? 1 : 0;
        counts.half_open += circuit == Circuit::half_open ? 1 : 0;
        full += !endpoint.unhealthy_ && circuit == Circuit::closed ? 1 : 0;
    }
    counts.panic = counts.ejected + counts.half_open > 0 &&
                   full * 100 < counts.members * policy_.panic_percent;
    return counts;
}

std::uint32_t PoolHealth::cap_of(const EndpointHealth& endpoint) const {
    if (endpoint.unhealthy_) {
        return 0;
    }
    if (panic_ || endpoint.breaker_.state() == Circuit::closed) {
        return EndpointHealth::kNoCap;
    }
    return endpoint.breaker_.state() == Circuit::ejected
               ? 0
               : endpoint.left_over_ + endpoint.breaker_.allowance();
}

/// Publishes what follows from the present states.
void PoolHealth::apply() {
    panic_ = count().panic;
    for (const auto& member : members_) {
        member.health->cap_.store(cap_of(*member.health), std::memory_order_relaxed);
    }
}

}  // namespace millrace::routing
