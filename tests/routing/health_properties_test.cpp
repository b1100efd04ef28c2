// What holds for a pool whatever happens to it: random histories, and threads.

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <thread>
#include <utility>

#include "tests/routing/health_fleet.hpp"

namespace millrace::routing {
namespace {

using std::chrono::milliseconds;
using testing::Fleet;

constexpr auto kNoCap = EndpointHealth::kNoCap;

HealthPolicy random_policy(Random& random) {
    HealthPolicy policy;
    policy.checks.enabled = random.below(5) != 0;
    policy.checks.unhealthy_after = 1 + random.below(3);
    policy.outliers.consecutive_failures = random.below(6);
    policy.outliers.min_attempts = random.below(30);
    policy.outliers.latency_factor = random.below(2) == 0 ? 0 : 2;
    policy.outliers.max_ejected_percent = random.below(101);
    policy.breaker.trusted_at = 1 + random.below(64);
    policy.panic_percent = random.below(101);
    return policy;
}

/// One random history of one pool, with what must hold checked after every step.
class History {
public:
    explicit History(std::uint64_t seed) : random_(seed), fleet_(kEndpoints) {
        fleet_.random = Random(seed + 1);
        configure();
        join();
    }

    void step() {
        switch (random_.below(40)) {
            case 0: return configure();
            case 1:
            case 2: return join();
            case 3:
            case 4:
            case 5: return seen(fleet_.sweep(milliseconds(random_.below(4000))));
            case 6:
            case 7:
            case 8: return seen(fleet_.check(any(), random_.below(3) == 0));
            case 9: fleet_.endpoints[any()]->in_flight = random_.below(20); return;
            default: return attempt();
        }
    }

    void check() const {
        const auto counts = fleet_.pool.counts();
        const auto restricted = counts.ejected + counts.half_open;
        ASSERT_LE(restricted, allowed_ejections(members_, policy_.outliers.max_ejected_percent));
        std::size_t unhealthy = 0;
        std::size_t out = 0;
        std::size_t full = 0;
        for (std::size_t i = 0; i < members_; ++i) {
            const auto cap = fleet_.cap(i);
            full += cap == kNoCap ? 1 : 0;
            out += cap == 0 ? 1 : 0;
            unhealthy += state_of(checks_, i) == HealthState::unhealthy ? 1 : 0;
            if (state_of(checks_, i) == HealthState::unhealthy) {
                ASSERT_EQ(cap, 0U);
            } else if (counts.panic) {
                ASSERT_EQ(cap, kNoCap);
            } else {
                const auto circuit = state_of(circuits_, i);
                ASSERT_EQ(cap == 0, circuit == HealthState::ejected);
                ASSERT_EQ(cap == kNoCap, circuit == HealthState::healthy);
            }
        }
        ASSERT_EQ(counts.unhealthy, unhealthy);
        ASSERT_LE(out, unhealthy + counts.ejected);
        // Nothing is withheld on suspicion while too few serve fully.
        if (full * 100 < members_ * policy_.panic_percent) {
            ASSERT_EQ(out, unhealthy);
            ASSERT_EQ(full, members_ - unhealthy);
        }
    }

    int changes() const { return changes_; }

private:
    static constexpr std::size_t kEndpoints = 9;
    using States = std::map<std::string, HealthState>;

    std::size_t any() { return random_.below(kEndpoints); }

    void configure() {
        policy_ = random_policy(random_);
        seen(fleet_.pool.configure(policy_, fleet_.now));
    }

    void join() {
        members_ = random_.below(kEndpoints + 1);
        seen(fleet_.join(members_));
    }

    void attempt() {
        // The first endpoints fail mostly, the last ones hardly ever.
        const auto index = any();
        const auto drawn = random_.below(kEndpoints);
        const auto evidence = drawn > index + 1    ? AttemptEvidence::bad
                              : drawn == index + 1 ? AttemptEvidence::none
                                                   : AttemptEvidence::good;
        const auto started = fleet_.now - milliseconds(random_.below(3000));
        if (evidence == AttemptEvidence::good) {
            seen(fleet_.pool.first_token(fleet_.endpoints[index]->health,
                                         milliseconds(1 + random_.below(500)), started,
                                         fleet_.now));
        }
        seen(fleet_.attempt(index, evidence, started));
    }

    void seen(const std::optional<HealthChange>& change) {
        if (change) {
            see(*change);
        }
    }
    void seen(const PoolHealth::Changes& changes) {
        for (const auto& change : changes) {
            see(change);
        }
    }

    /// Changes form a chain for each endpoint and side.
    void see(const HealthChange& change) {
        const bool check = change.cause == HealthCause::checks_failed ||
                           change.cause == HealthCause::check_passed ||
                           change.cause == HealthCause::checks_off;
        auto& state = (check ? checks_ : circuits_)[change.endpoint];
        EXPECT_EQ(state, change.from) << change.endpoint << " " << to_string(change.cause);
        EXPECT_NE(change.from, change.to);
        EXPECT_EQ(change.to == HealthState::ejected, change.until > fleet_.now);
        state = change.to;
        ++changes_;
    }

    HealthState state_of(const States& states, std::size_t index) const {
        const auto found = states.find(fleet_.endpoints[index]->url);
        return found == states.end() ? HealthState::healthy : found->second;
    }

    Random random_;
    Fleet fleet_;
    HealthPolicy policy_;
    std::size_t members_ = 0;
    States checks_;
    States circuits_;
    int changes_ = 0;
};

TEST(HealthProperties, NeverMoreThanTheAllowedShareIsEjected) {
    int changes = 0;
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        SCOPED_TRACE(seed);
        History history(seed);
        for (int step = 0; step < 2000; ++step) {
            history.step();
            history.check();
            if (HasFatalFailure()) {
                return;
            }
        }
        changes += history.changes();
    }
    EXPECT_GT(changes, 20 * 50);  // histories in which something happens
}

TEST(HealthProperties, HoldWhileThreadsReport) {
    Fleet fleet(5);
    std::atomic<int> clock{0};  // seconds since the fleet's start; the sweep moves it
    const auto now = [&] { return fleet.now + std::chrono::seconds(clock.load()); };
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> reports{0};
    std::vector<std::jthread> workers;
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
        workers.emplace_back([&, seed] {
            Random random(seed);
            while (!stop.load(std::memory_order_relaxed)) {
                auto& health = fleet.endpoints[random.below(5)]->health;
                const auto started = now();
                if (health.available()) {
                    fleet.pool.first_token(health, milliseconds(random.below(100)), started, now());
                }
                fleet.pool.attempt(
                    health, random.below(2) == 0 ? AttemptEvidence::bad : AttemptEvidence::good,
                    started, now(), random);
                reports.fetch_add(1, std::memory_order_relaxed);
            }
        });
    }
    Random random(9);
    std::size_t changes = 0;
    while (reports.load() < 20'000 || changes < 50) {
        clock.fetch_add(1);
        changes += fleet.pool.sweep(now(), random).size();
        const auto counts = fleet.pool.counts();
        EXPECT_LE(counts.ejected + counts.half_open, 2U);
    }
    stop = true;
    workers.clear();
    // All come back to a trial, and successes close every circuit.
    for (int i = 0; i < 400; ++i) {
        clock.fetch_add(1);
        fleet.pool.sweep(now(), random);
        for (const auto& endpoint : fleet.endpoints) {
            fleet.pool.attempt(endpoint->health, AttemptEvidence::good, now(), now(), random);
        }
    }
    for (const auto& endpoint : fleet.endpoints) {
        EXPECT_EQ(endpoint->health.slot_cap(), kNoCap);
    }
}

}  // namespace
}  // namespace millrace::routing
