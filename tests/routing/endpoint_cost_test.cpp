#include "routing/endpoint_cost.hpp"

#include <gtest/gtest.h>

namespace millrace::routing {
namespace {

using namespace std::chrono_literals;

TEST(EndpointCost, IsTheSlotsShareOfTheEndpointsTime) {
    const config::Dollars four{4'000'000};
    EXPECT_DOUBLE_EQ(endpoint_dollars(four, 1h, 1), 4);
    EXPECT_DOUBLE_EQ(endpoint_dollars(four, 9s, 10), 0.001);
    EXPECT_DOUBLE_EQ(endpoint_dollars(four, 500ms, 256), 4 * 0.5 / 3600 / 256);
    EXPECT_EQ(endpoint_dollars({}, 1h, 1), 0);
    EXPECT_EQ(endpoint_dollars(four, 0s, 1), 0);
}

}  // namespace
}  // namespace millrace::routing
