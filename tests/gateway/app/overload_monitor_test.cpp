#include "gateway/app/overload_monitor.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace millrace::gateway {
namespace {

using namespace std::chrono_literals;
using enum routing::OverloadStep;

constexpr Instant kStart = Instant{} + 1h;

class OverloadMonitorTest : public testing::Test {
protected:
    void look(Duration after) { monitor.look(kStart + after); }
    routing::OverloadStep step() const { return ladder.actions().step; }

    OverloadReading reading{.byte_limit = 1'000,
                            .connection_limit = 100,
                            .descriptor_limit = 1'024,
                            .loop_lag_limit = 250ms};
    std::vector<std::string> lines;
    routing::OverloadLadder ladder;
    OverloadMonitor monitor{
        ladder, [this] { return reading; },
        [this](const OverloadMonitor::Change& change, const OverloadReading& seen) {
            lines.push_back(describe(change, seen));
        }};
};

TEST_F(OverloadMonitorTest, SaysWhichResourceRunsOutAndWhenItDoesNotAnyMore) {
    reading.bytes = 960;
    look(0ms);
    EXPECT_EQ(step(), refuse);
    reading.bytes = 100;
    for (auto after = 100ms; after <= 4s; after += 100ms) {
        look(after);
    }
    EXPECT_EQ(step(), normal);
    ASSERT_EQ(lines.size(), 4U);
    EXPECT_EQ(lines[0],
              "overload: was normal and is refuse: 960 of 1000 bytes are held "
              "(limits.buffered_bytes)");
    EXPECT_EQ(lines[3],
              "overload: was shorten_idle and is normal: 100 of 1000 bytes are held "
              "(limits.buffered_bytes)");
}

TEST_F(OverloadMonitorTest, LooksAtEveryResource) {
    reading.connections = 93;
    look(0ms);
    EXPECT_EQ(step(), close_connections);
    reading.descriptors = 1'000;
    look(100ms);
    EXPECT_EQ(step(), stop_accepting);
    ASSERT_EQ(lines.size(), 2U);
    EXPECT_TRUE(
        lines[0].ends_with("93 of 100 connections are open "
                           "(listeners.data.max_connections)"));
    EXPECT_TRUE(lines[1].ends_with("1000 of 1024 file descriptors are open (RLIMIT_NOFILE)"));
}

TEST_F(OverloadMonitorTest, CountsALagOnlyWhenItLasts) {
    reading.loop_lag = 260ms;
    look(0ms);
    look(100ms);
    EXPECT_EQ(step(), normal);
    look(200ms);
    EXPECT_EQ(step(), refuse);
    ASSERT_EQ(lines.size(), 1U);
    EXPECT_TRUE(
        lines[0].ends_with("an event loop is 260 ms late, the limit is 250 ms "
                           "(overload.loop_lag)"));
}

TEST_F(OverloadMonitorTest, DoesNotCountWhatHasNoLimit) {
    reading = {.bytes = 5, .connections = 5, .descriptors = 5, .loop_lag = 1h};
    for (auto after = 0ms; after <= 1s; after += 100ms) {
        look(after);
    }
    EXPECT_EQ(step(), normal);
}

}  // namespace
}  // namespace millrace::gateway
