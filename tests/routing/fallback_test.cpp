#include "routing/fallback.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/routing/repeat_facts.hpp"
#include "tests/routing/support.hpp"

namespace millrace::routing {
namespace {

using testing::inference;
using testing::storing;

PoolFailure failed(Errc error) {
    PoolFailure failure;
    failure.error = error;
    failure.attempts = 1;
    return failure;
}

PoolFailure answered(std::uint16_t status) {
    PoolFailure failure;
    failure.status = status;
    failure.attempts = 1;
    return failure;
}

TEST(MayFallBack, AfterWhatThePoolCouldNotDo) {
    for (const auto error :
         {Errc::upstream_connect_failed, Errc::upstream_connect_timeout, Errc::upstream_closed,
          Errc::upstream_bad_response, Errc::upstream_truncated, Errc::first_byte_timeout,
          Errc::first_token_timeout, Errc::idle_timeout, Errc::total_timeout, Errc::queue_full,
          Errc::queue_timeout, Errc::shed, Errc::pool_asleep, Errc::pool_starting,
          Errc::no_ready_endpoint}) {
        EXPECT_TRUE(may_fall_back(inference(), failed(error))) << to_string(error);
    }
    for (const auto status : std::vector<std::uint16_t>{429, 502, 503, 504}) {
        EXPECT_TRUE(may_fall_back(inference(), answered(status))) << status;
    }
}

TEST(MayFallBack, NeverAfterWhatTheClientDidOrWeRefuseEverywhere) {
    for (const auto error : {Errc::client_closed, Errc::client_write_stalled, Errc::drain_deadline,
                             Errc::internal, Errc::server_overloaded, Errc::model_not_found}) {
        EXPECT_FALSE(may_fall_back(inference(), failed(error))) << to_string(error);
    }
    for (const auto status : std::vector<std::uint16_t>{400, 401, 404, 422, 500}) {
        EXPECT_FALSE(may_fall_back(inference(), answered(status))) << status;
    }
}

TEST(MayFallBack, WhenItWouldBeStoredOnlyIfNothingWasSent) {
    EXPECT_TRUE(may_fall_back(storing(), failed(Errc::upstream_connect_failed)));
    EXPECT_TRUE(may_fall_back(storing(), failed(Errc::queue_timeout)));
    EXPECT_FALSE(may_fall_back(storing(), failed(Errc::upstream_closed)));
    EXPECT_FALSE(may_fall_back(storing(), failed(Errc::total_timeout)));
    EXPECT_FALSE(may_fall_back(storing(), answered(503)));
}

TEST(MayFallBack, WithinTheAttemptsAndTheTimeOfTheRequest) {
    auto failure = failed(Errc::upstream_closed);
    failure.attempts = kMaxAttempts - 1;
    EXPECT_TRUE(may_fall_back(inference(), failure));
    failure.attempts = kMaxAttempts;
    EXPECT_FALSE(may_fall_back(inference(), failure));
    failure.attempts = 1;
    failure.time_left = false;
    EXPECT_FALSE(may_fall_back(inference(), failure));
}

class Plan : public ::testing::Test {
protected:
    Plan() {
        using routing::testing::model;
        using routing::testing::variant;
        for (const auto* name : {"own", "b1", "b2", "c"}) {
            world_.backend(name);
            world_.config.backends[name].slots_per_endpoint = 1;
        }
        auto first = model("a", {variant("v", 1, "own")});
        first.fallback = {{"b", "second"}, {"c", ""}};
        world_.config.models = {
            first, model("b", {variant("first", 1, "b1"), variant("second", 0, "b2", "name-of-b")}),
            model("c", {variant("v", 1, "c")})};
        world_.publish();
        PoolLimits limits;
        limits.slots_per_endpoint = 1;
        for (const auto& pool : world_.state->pools.all()) {
            pool->set_limits(limits);
        }
        const auto found = world_.catalog->find(routing::testing::chat("a"));
        plan_ = FallbackPlan(*found->rule);
    }

    std::string next() {
        const auto decision = plan_.next(facts_, world_.view, world_.random);
        return decision ? decision->target->backend_name : "none";
    }
    void take_away(const std::string& backend) { world_.state->pools.find(backend)->update({}); }

    RequestFacts facts_ = routing::testing::chat("a");
    routing::testing::World world_;
    FallbackPlan plan_;
};

TEST_F(Plan, GivesOutTheTargetsInOrderEachOnce) {
    const auto decision = plan_.next(facts_, world_.view, world_.random);
    ASSERT_TRUE(decision);
    EXPECT_EQ(decision->target->backend_name, "b2") << "the named variant, whatever its weight";
    EXPECT_EQ(decision->model_id, "b");
    EXPECT_EQ(decision->served_name, "name-of-b");
    EXPECT_EQ(decision->rule->model->id, "b") << "its own policy";
    EXPECT_EQ(next(), "c");
    EXPECT_EQ(next(), "none");
}

TEST_F(Plan, PassesOverTargetsWithoutAReadyEndpoint) {
    take_away("b2");
    EXPECT_EQ(next(), "c");
    EXPECT_EQ(next(), "none");
}

TEST_F(Plan, TakesAFreeSlotWhereThereIsOne) {
    auto first = plan_.take_free(facts_, world_.view, world_.random);
    ASSERT_TRUE(first);
    EXPECT_EQ(first->decision.target->backend_name, "b2");
    auto other = FallbackPlan(*world_.catalog->find(facts_)->rule);
    auto second = other.take_free(facts_, world_.view, world_.random);
    ASSERT_TRUE(second);
    EXPECT_EQ(second->decision.target->backend_name, "c") << "the only slot of the first is taken";
    auto third = FallbackPlan(*world_.catalog->find(facts_)->rule);
    EXPECT_FALSE(third.take_free(facts_, world_.view, world_.random));
    EXPECT_TRUE(third.next(facts_, world_.view, world_.random)) << "one could wait there";
}

TEST_F(Plan, IsEmptyForModelsWithoutFallbacks) {
    EXPECT_FALSE(plan_.empty());
    EXPECT_TRUE(FallbackPlan().empty());
    plan_ = FallbackPlan(*world_.catalog->find(routing::testing::chat("c"))->rule);
    EXPECT_TRUE(plan_.empty());
    EXPECT_EQ(next(), "none");
}

}  // namespace
}  // namespace millrace::routing
