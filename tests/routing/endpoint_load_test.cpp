#include "routing/endpoint_load.hpp"

#include <gtest/gtest.h>

#include <array>

namespace millrace::routing {
namespace {

using namespace std::chrono_literals;

constexpr Instant kStart{};

TEST(EndpointLoad, KnowsNothingAtFirst) {
    const EndpointLoad load;
    EXPECT_FALSE(load.advice().waiting || load.advice().running || load.advice().kv_usage);
    EXPECT_EQ(load.speed().prefill_rate(), 0);
    EXPECT_FALSE(load.has_adapter(7));
    EXPECT_FALSE(load.has_adapter(0)) << "no adapter is none that it could hold";
}

TEST(EndpointLoad, AdviceIsForgottenWhenItIsOld) {
    EndpointLoad load;
    load.advise({.waiting = 3, .running = std::nullopt, .kv_usage = 0.5}, {}, kStart + 10s);
    load.expire(kStart + 15s, 5s);
    EXPECT_EQ(load.advice().waiting, 3);
    EXPECT_FALSE(load.advice().running);
    load.expire(kStart + 15s + 1ns, 5s);
    EXPECT_FALSE(load.advice().waiting || load.advice().kv_usage);
}

TEST(EndpointLoad, LearnsSpeedFromFirstTokensAndAnswers) {
    EndpointLoad load;
    for (int i = 0; i < 200; ++i) {
        load.observe_first_token(2'000, 500ms);
        load.observe_request(3s);
    }
    EXPECT_NEAR(load.speed().prefill_rate(), 4'000, 40);
    EXPECT_NEAR(load.speed().service, 3, 1e-9);
}

TEST(EndpointLoad, HoldsAdaptersThatWereSentOrReported) {
    EndpointLoad load;
    load.loaded(1);
    load.loaded(1);
    const std::array<std::uint64_t, 1> reported{99};
    load.advise({}, reported, kStart);
    EXPECT_TRUE(load.has_adapter(1) && load.has_adapter(99));
    load.advise({}, {}, kStart);
    EXPECT_FALSE(load.has_adapter(99)) << "the engine dropped it";
    for (std::uint64_t adapter = 2; adapter < 17; ++adapter) {
        load.loaded(adapter);
    }
    EXPECT_TRUE(load.has_adapter(1)) << "sixteen are remembered";
    load.loaded(17);
    EXPECT_FALSE(load.has_adapter(1)) << "the oldest is forgotten";
}

}  // namespace
}  // namespace millrace::routing
