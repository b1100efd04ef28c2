#include "routing/overflow.hpp"

#include <gtest/gtest.h>

namespace millrace::routing {
namespace {

using namespace std::chrono_literals;

constexpr Instant kBegan = Instant{} + 1h;

TEST(Overflow, IsAWaitThatPassedAndIsPredictedToBeTooLong) {
    const config::Overflow policy{.after = 5s};
    EXPECT_FALSE(overflows(policy, 0s, 5s));
    EXPECT_TRUE(overflows(policy, 0s, 5001ms)) << "before it has waited at all";
    EXPECT_FALSE(overflows(policy, 3s, 2s));
    EXPECT_TRUE(overflows(policy, 4s, 2s)) << "a prediction that does not shrink";
    EXPECT_TRUE(overflows(policy, 6s, 0s));
}

TEST(Overflow, IsOffUnlessItIsAskedFor) {
    EXPECT_FALSE(overflows({}, 1h, 1h));
    EXPECT_EQ(next_judgement({}, kBegan, kBegan), Instant::max());
}

TEST(Overflow, IsJudgedTwiceASecondAndWhenTheTimeIsUp) {
    const config::Overflow policy{.after = 1200ms};
    EXPECT_EQ(next_judgement(policy, kBegan, kBegan), kBegan + 500ms);
    EXPECT_EQ(next_judgement(policy, kBegan, kBegan + 1s), kBegan + 1200ms);
    EXPECT_EQ(next_judgement(policy, kBegan, kBegan + 1200ms), kBegan + 1700ms)
        << "for a slot that gets free elsewhere";
}

}  // namespace
}  // namespace millrace::routing
