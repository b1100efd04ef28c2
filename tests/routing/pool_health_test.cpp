// What a pool does with the health of its endpoints; the decisions themselves are in health_test.
#include <gtest/gtest.h>

#include <vector>

#include "routing/endpoints.hpp"
#include "routing/gate.hpp"
#include "routing/pickers.hpp"
#include "tests/routing/addresses.hpp"

namespace millrace::routing {
namespace {

using namespace std::chrono_literals;

constexpr Instant kStart = Instant{} + 1h;

class PoolHealthTest : public testing::Test {
protected:
    PoolHealthTest() { pool->update({at(1), at(2), at(3), at(4)}); }

    std::shared_ptr<EndpointState> endpoint(std::size_t index) {
        return pool->snapshot()->endpoints[index];
    }
    void report(std::size_t index, AttemptEvidence evidence, int times, Instant when = kStart) {
        for (int i = 0; i < times; ++i) {
            pool->report(EndpointLease(endpoint(index)), evidence, when, when);
        }
    }

    PoolDirectory directory;
    std::shared_ptr<Pool> pool = directory.acquire("b");
    Random random{1};
};

TEST_F(PoolHealthTest, GivesNothingToAnEjectedEndpoint) {
    report(0, AttemptEvidence::bad, 4);
    report(0, AttemptEvidence::none, 50);
    EXPECT_TRUE(endpoint(0)->ready());
    report(0, AttemptEvidence::bad, 1);
    EXPECT_FALSE(endpoint(0)->ready());
    EXPECT_EQ(pool->counts().ready, 3U);
    EXPECT_EQ(pool->health().ejected, 1U);
    for (int i = 0; i < 100; ++i) {
        EXPECT_NE(pick(*pool->snapshot(), random)->url, at(1).url());
    }
    const auto changes = pool->review(kStart);
    ASSERT_EQ(changes.size(), 1U);
    EXPECT_EQ(changes[0].endpoint, at(1).url());
    EXPECT_EQ(changes[0].to, HealthState::ejected);
}

TEST_F(PoolHealthTest, EjectsWhoseFirstTokensAreSlowWhereThatIsAsked) {
    const auto slow_second = [this](Instant when) {
        for (std::size_t index = 0; index < 4; ++index) {
            const EndpointLease lease(endpoint(index));
            for (int i = 0; i < 10; ++i) {
                pool->first_token(lease, index == 1 ? 400ms : 100ms, when, when);
            }
        }
    };
    slow_second(kStart);
    EXPECT_TRUE(pool->review(kStart).empty());
    PoolLimits limits;
    limits.health.outliers.latency_factor = 3;
    pool->set_limits(limits);
    const auto changes = pool->review(kStart + 1s);
    ASSERT_EQ(changes.size(), 1U);
    EXPECT_EQ(changes[0].endpoint, at(2).url());
    EXPECT_EQ(changes[0].cause, HealthCause::slow_first_token);
    EXPECT_FALSE(endpoint(1)->ready());
}

TEST_F(PoolHealthTest, AFirstTokenEarnsTrustWhileItsStreamGoesOn) {
    report(0, AttemptEvidence::bad, 5);
    pool->review(kStart + 12s);
    ASSERT_EQ(endpoint(0)->limit(), 1U);
    const EndpointLease lease(endpoint(0));
    pool->first_token(lease, 100ms, kStart + 13s, kStart + 13s);
    EXPECT_EQ(endpoint(0)->limit(), 2U);
}

TEST_F(PoolHealthTest, LetsItBackInSlotBySlot) {
    report(0, AttemptEvidence::bad, 5);
    pool->review(kStart + 12s);
    EXPECT_TRUE(endpoint(0)->ready());
    EXPECT_EQ(endpoint(0)->limit(), 1U);
    pool->set_limits({2, {}, {}});
    report(0, AttemptEvidence::good, 6, kStart + 13s);
    EXPECT_EQ(endpoint(0)->limit(), 2U) << "the configured slots bind now";
}

TEST_F(PoolHealthTest, ServesWaitersWhenAnEndpointComesBack) {
    static const Selection kAnyEndpoint;
    class Silent final : public Ticket {
    public:
        Silent() : Ticket(WaitOrder{}, kAnyEndpoint) {}
        void wake() noexcept override { woken = true; }
        bool woken = false;
    };
    for (int i = 1; i <= 4; ++i) {
        for (int failures = 0; failures < 3; ++failures) {
            pool->checked(at(i).url(), CheckResult::of_status(503), kStart);
        }
    }
    pool->checked("http://elsewhere:1", CheckResult::of_status(503), kStart);
    EXPECT_FALSE(pool->snapshot()->ready()) << "checks may take all of them out";
    const auto ticket = std::make_shared<Silent>();
    EXPECT_EQ(pool->gate().enter(ticket), Gate::Entered::waiting);
    pool->checked(at(3).url(), CheckResult::of_status(200), kStart + 5s);
    EXPECT_TRUE(ticket->woken);
    EXPECT_EQ(pool->gate().leave(*ticket).selected.lease->url, at(3).url());
}

TEST_F(PoolHealthTest, CountsNoDrainingEndpointAsOneThatIsLeft) {
    pool->set_draining(at(3).url(), true);
    pool->set_draining(at(4).url(), true);
    report(0, AttemptEvidence::bad, 20);
    report(1, AttemptEvidence::bad, 20);
    EXPECT_EQ(pool->health().ejected, 1U) << "of the two that take work, one has to stay";
}

}  // namespace
}  // namespace millrace::routing
