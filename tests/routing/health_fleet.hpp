// A pool of endpoints for health tests: members, a clock that only moves when told, one Random.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "routing/health.hpp"

namespace millrace::routing::testing {

struct Endpoint {
    explicit Endpoint(std::string name) : url(std::move(name)) {}
    std::string url;
    std::atomic<std::uint32_t> in_flight{0};
    EndpointHealth health;
};

class Fleet {
public:
    explicit Fleet(std::size_t size, const HealthPolicy& policy = without_jitter()) : pool(policy) {
        for (std::size_t i = 0; i < size; ++i) {
            endpoints.push_back(std::make_shared<Endpoint>("e" + std::to_string(i)));
        }
        join(size);
    }

    static HealthPolicy without_jitter() {
        HealthPolicy policy;
        policy.breaker.jitter = 0;
        return policy;
    }

    /// The first `size` endpoints are the pool's members.
    PoolHealth::Changes join(std::size_t size) {
        std::vector<HealthMember> members;
        for (std::size_t i = 0; i < size; ++i) {
            const auto& endpoint = endpoints[i];
            members.push_back({std::shared_ptr<EndpointHealth>(endpoint, &endpoint->health),
                               &endpoint->in_flight, endpoint->url});
        }
        return pool.set_members(std::move(members), now);
    }

    std::optional<HealthChange> attempt(std::size_t index, AttemptEvidence evidence) {
        return attempt(index, evidence, now);
    }
    std::optional<HealthChange> attempt(std::size_t index, AttemptEvidence evidence,
                                        Instant started) {
        return pool.attempt(endpoints[index]->health, evidence, started, now, random);
    }
    /// That many failures; the last one's change.
    std::optional<HealthChange> fail(std::size_t index, int times) {
        std::optional<HealthChange> last;
        for (int i = 0; i < times; ++i) {
            last = attempt(index, AttemptEvidence::bad);
        }
        return last;
    }
    /// Successes until they close the circuit; empty when they do not.
    std::optional<HealthChange> earn_trust(std::size_t index) {
        for (int i = 0; i < 64; ++i) {
            if (auto change = attempt(index, AttemptEvidence::good)) {
                return change;
            }
        }
        return std::nullopt;
    }
    std::optional<HealthChange> check(std::size_t index, bool ok) {
        return pool.checked(endpoints[index]->health, CheckResult{ok, ok ? 200 : 503}, now);
    }
    PoolHealth::Changes sweep(Duration later = std::chrono::seconds(1)) {
        now += later;
        return pool.sweep(now, random);
    }
    std::uint32_t cap(std::size_t index) const { return endpoints[index]->health.slot_cap(); }

    PoolHealth pool;
    std::vector<std::shared_ptr<Endpoint>> endpoints;
    Instant now{std::chrono::seconds(1000)};
    Random random{1};
};

}  // namespace millrace::routing::testing
