#include "routing/breaker.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace millrace::routing {
namespace {

using std::chrono::seconds;

constexpr Instant kStart{seconds(1000)};
const BreakerPolicy kExact{.jitter = 0};

/// Ejects at `now`, waits it out and returns how long it lasted.
Duration serve_ejection(Breaker& breaker, const BreakerPolicy& policy, Instant& now,
                        Random& random) {
    const auto begun = now;
    breaker.eject(policy, now, random);
    EXPECT_EQ(breaker.state(), Circuit::ejected);
    EXPECT_FALSE(breaker.expire(breaker.until() - Duration(1)));
    now = breaker.until();
    EXPECT_TRUE(breaker.expire(now));
    EXPECT_FALSE(breaker.expire(now));
    EXPECT_EQ(breaker.state(), Circuit::half_open);
    EXPECT_EQ(breaker.since(), now);
    return now - begun;
}

void earn_trust(Breaker& breaker, Instant now) {
    for (int i = 0; i < 64 && breaker.state() == Circuit::half_open; ++i) {
        breaker.advance(kExact, now);
    }
}

TEST(Breaker, EjectsForLongerEveryTimeInARowUpToTheCap) {
    Breaker breaker;
    Random random(1);
    Instant now = kStart;
    for (int row = 1; row <= 40; ++row) {
        EXPECT_EQ(serve_ejection(breaker, kExact, now, random),
                  std::min(seconds(10) * row, seconds(300)))
            << row;
    }
}

TEST(Breaker, ForgetsOneEjectionPerBaseSpentClosed) {
    Breaker breaker;
    Random random(1);
    Instant now = kStart;
    for (int row = 1; row <= 4; ++row) {
        serve_ejection(breaker, kExact, now, random);
    }
    earn_trust(breaker, now);
    now += seconds(20);  // four become two, and this is the third
    EXPECT_EQ(serve_ejection(breaker, kExact, now, random), seconds(30));
    earn_trust(breaker, now);
    now += seconds(3600);
    EXPECT_EQ(serve_ejection(breaker, kExact, now, random), seconds(10));
}

TEST(Breaker, DoesNotRememberMoreThanTheCapCanShow) {
    Breaker breaker;
    Random random(1);
    Instant now = kStart;
    for (int row = 0; row < 1000; ++row) {
        serve_ejection(breaker, kExact, now, random);
    }
    earn_trust(breaker, now);
    now += seconds(10) * 31;
    EXPECT_EQ(serve_ejection(breaker, kExact, now, random), seconds(10));
}

TEST(Breaker, SpreadsTheEndsOfEjections) {
    Random random(7);
    Duration shortest = Duration::max();
    Duration longest{0};
    for (int i = 0; i < 1000; ++i) {
        Breaker breaker;
        Instant now = kStart;
        const auto length = serve_ejection(breaker, {.jitter = 0.1}, now, random);
        shortest = std::min(shortest, length);
        longest = std::max(longest, length);
    }
    EXPECT_GE(shortest, seconds(9));
    EXPECT_LE(longest, seconds(11));
    EXPECT_LT(shortest, std::chrono::milliseconds(9100));
    EXPECT_GT(longest, std::chrono::milliseconds(10900));
}

TEST(Breaker, DoublesTheAllowanceUntilItTrusts) {
    struct Case {
        std::uint32_t trusted_at;
        std::vector<std::uint32_t> allowances;
    };
    for (const auto& c : {Case{64, {1, 2, 4, 8, 16, 32}}, Case{3, {1, 2}}, Case{2, {1}},
                          Case{1, {1}}, Case{0xffff'ffff, {1, 2, 4, 8}}}) {
        Breaker breaker;
        Random random(1);
        Instant now = kStart;
        serve_ejection(breaker, kExact, now, random);
        const BreakerPolicy policy{.trusted_at = c.trusted_at};
        for (std::size_t i = 0; i < c.allowances.size(); ++i) {
            EXPECT_EQ(breaker.allowance(), c.allowances[i]);
            const bool last = c.trusted_at < 100 && i + 1 == c.allowances.size();
            EXPECT_EQ(breaker.advance(policy, now + seconds(1)), last) << c.trusted_at;
        }
        EXPECT_EQ(breaker.state(), c.trusted_at < 100 ? Circuit::closed : Circuit::half_open);
    }
}

TEST(Breaker, BeginsEveryTrialWithOne) {
    Breaker breaker;
    Random random(1);
    Instant now = kStart;
    serve_ejection(breaker, kExact, now, random);
    breaker.advance(kExact, now);
    breaker.advance(kExact, now);
    EXPECT_EQ(breaker.allowance(), 4U);
    serve_ejection(breaker, kExact, now, random);
    EXPECT_EQ(breaker.allowance(), 1U);
}

}  // namespace
}  // namespace millrace::routing
