#include "gateway/app/endpoint_rounds.hpp"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gateway/app/snapshot_builder.hpp"
#include "tests/routing/support.hpp"
#include "tests/support/manual_clock.hpp"

namespace millrace::gateway {
namespace {

using namespace std::chrono_literals;

/// One backend of two endpoints, and an HTTP client that answers when told to.
class EndpointRoundsTest : public testing::Test {
protected:
    EndpointRoundsTest() {
        config.models.push_back(
            routing::testing::model("m", {routing::testing::variant("v", 1, "b")}));
        auto& backend = config.backends["b"];
        backend.api_key = Secret("sk-upstream");
        backend.health = config::HealthCheck{.unhealthy_after = 1};
        backend.metrics = config::EngineMetrics{.path = "/engine", .interval = 2s, .max_age = 4s};
    }

    std::unique_ptr<EndpointRounds> start(RoundKind kind) {
        auto loaded = std::make_shared<config::Loaded>();
        loaded->config = config;
        snapshot = *builder.build(std::move(loaded));
        pool = state.pools.find("b");
        pool->update({{"10.0.0.1", 8000, false, ""}, {"10.0.0.2", 8000, false, ""}});
        auto rounds = std::make_unique<EndpointRounds>(
            std::move(kind), state.pools,
            [this](const HttpRequest& request, EndpointRounds::Done done) {
                asked.emplace_back(request, std::move(done));
            },
            clock, 1);
        rounds->follow(snapshot);
        return rounds;
    }
    /// Answers everything that is open.
    void answer(const Result<HttpAnswer>& with) {
        for (auto& [request, done] : std::exchange(asked, {})) {
            done(with);
        }
    }
    const routing::EndpointState& endpoint(std::size_t index) const {
        return *pool->snapshot()->endpoints[index];
    }

    config::Config config;
    test::ManualClock clock;
    metrics::Registry registry{1};
    routing::RoutingState state;
    SnapshotBuilder builder{state, registry, clock, "own-namespace"};
    std::shared_ptr<const Snapshot> snapshot;
    std::shared_ptr<routing::Pool> pool;
    std::vector<std::pair<HttpRequest, EndpointRounds::Done>> asked;
};

TEST_F(EndpointRoundsTest, AsksEveryEndpointOncePerInterval) {
    const auto rounds = start(engine_metrics());
    std::map<std::string, int> questions;
    for (int second = 0; second <= 20; ++second) {
        rounds->advance();
        for (const auto& [request, done] : asked) {
            ++questions[request.url];
            EXPECT_EQ(request.timeout, 4s);
            EXPECT_EQ(request.headers.back().second, "Bearer sk-upstream");
        }
        answer(HttpAnswer{200, {}, ""});
        clock.advance(1s);
    }
    EXPECT_NEAR(questions["http://10.0.0.1:8000/engine"], 10, 1);
    EXPECT_NEAR(questions["http://10.0.0.2:8000/engine"], 10, 1);
}

TEST_F(EndpointRoundsTest, WaitsForAnAnswerBeforeItAsksAgain) {
    const auto rounds = start(engine_metrics());
    for (int second = 0; second < 20; ++second) {
        rounds->advance();
        clock.advance(1s);
    }
    EXPECT_EQ(asked.size(), 2U);
}

TEST_F(EndpointRoundsTest, MetricsBecomeAdvice) {
    const auto rounds = start(engine_metrics());
    clock.advance(2s);
    rounds->advance();
    clock.advance(2s);
    rounds->advance();
    answer(HttpAnswer{200, {}, "vllm:num_requests_waiting 7\nvllm:kv_cache_usage_perc 0.5\n"});
    EXPECT_EQ(endpoint(0).load.advice().waiting, 7);
    EXPECT_EQ(endpoint(1).load.advice().kv_usage, 0.5);
    pool->review(clock.now() + 3s);
    EXPECT_EQ(endpoint(0).load.advice().waiting, 7);
    clock.advance(2s);
    rounds->advance();
    answer(failure(Errc::upstream_connect_failed, Origin::upstream, "refused"));
    EXPECT_EQ(endpoint(0).load.advice().waiting, 7) << "a failed scrape is no news";
    pool->review(clock.now() + 5s);
    EXPECT_FALSE(endpoint(0).load.advice().waiting) << "until what is known is too old";
}

TEST_F(EndpointRoundsTest, FailedChecksTakeAnEndpointOut) {
    const auto rounds = start(health_checks());
    clock.advance(5s);
    rounds->advance();
    clock.advance(5s);
    rounds->advance();
    answer(HttpAnswer{503, {}, ""});
    EXPECT_FALSE(endpoint(0).ready());
    clock.advance(5s);
    rounds->advance();
    answer(HttpAnswer{200, {}, ""});
    EXPECT_TRUE(endpoint(0).ready());
}

TEST_F(EndpointRoundsTest, OurOwnLackOfDescriptorsSaysNothingAboutAnEndpoint) {
    const auto rounds = start(health_checks());
    clock.advance(5s);
    rounds->advance();
    for (int i = 0; i < 3; ++i) {
        clock.advance(5s);
        rounds->advance();
        ASSERT_FALSE(asked.empty());
        answer(failure(Errc::server_overloaded, Origin::internal, "No descriptors."));
    }
    EXPECT_TRUE(endpoint(0).ready());
    clock.advance(5s);
    rounds->advance();
    answer(failure(Errc::upstream_closed, Origin::upstream, "Refused."));
    EXPECT_FALSE(endpoint(0).ready());
}

TEST_F(EndpointRoundsTest, AnswersAboutWhatIsGoneAreDropped) {
    const auto rounds = start(health_checks());
    clock.advance(5s);
    rounds->advance();
    clock.advance(5s);
    rounds->advance();
    ASSERT_EQ(asked.size(), 2U);
    pool->update({{"10.0.0.2", 8000, false, ""}});
    auto late = std::exchange(asked, {});
    rounds->advance();
    late[0].second(HttpAnswer{503, {}, ""});
    EXPECT_TRUE(endpoint(0).ready());
}

}  // namespace
}  // namespace millrace::gateway
