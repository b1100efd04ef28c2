#include "gateway/app/health_checks.hpp"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "tests/gateway/pipeline/world.hpp"

namespace millrace::gateway {
namespace {

using namespace std::chrono_literals;

HttpAnswer answered(unsigned status) {
    HttpAnswer answer;
    answer.status = status;
    return answer;
}

class HealthChecksTest : public testing::Test {
protected:
    void SetUp() override {
        world.config.backends["pool"].health = config::HealthCheck{.unhealthy_after = 2};
        world.publish();
        pool = world.state.pools.find("pool");
        checks.follow(world.snapshot);
        checks.advance();  // the first check is due within an interval
    }
    /// The next check of the only endpoint, answered with `answer`.
    void check(Result<HttpAnswer> answer) {
        world.clock.advance(5s);
        checks.advance();
        ASSERT_EQ(asked.size(), 1U);
        std::exchange(asked, {}).front()(std::move(answer));
    }
    bool is_ready() const { return pool->snapshot()->ready(); }

    testing_support::PipelineWorld world;
    std::shared_ptr<routing::Pool> pool;
    std::vector<HealthChecks::Done> asked;
    HealthChecks checks{world.state.pools,
                        [this](HttpRequest request, HealthChecks::Done done) {
                            EXPECT_EQ(request.url, "http://10.0.0.1:8000/health");
                            asked.push_back(std::move(done));
                        },
                        world.clock, 1};
};

TEST_F(HealthChecksTest, TakeOutWhoeverKeepsFailingAndLetItBackIn) {
    check(answered(503));
    EXPECT_TRUE(is_ready());
    check(failure(Errc::upstream_closed, Origin::upstream, "Refused."));
    EXPECT_FALSE(is_ready());
    check(answered(200));
    EXPECT_TRUE(is_ready());
}

TEST_F(HealthChecksTest, SayNothingWhenWeCouldNotAsk) {
    for (int i = 0; i < 5; ++i) {
        check(failure(Errc::server_overloaded, Origin::internal, "No descriptors."));
    }
    EXPECT_TRUE(is_ready());
    check(answered(503));
    EXPECT_TRUE(is_ready()) << "the first that failed";
}

}  // namespace
}  // namespace millrace::gateway
