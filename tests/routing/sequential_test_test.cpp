#include "routing/sequential_test.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "bench/rollout/chance.hpp"

namespace millrace::routing {
namespace {

constexpr Margin kRate{0.002, 0.01};
const Margin kRatio{std::log(1.05), std::log(1.2)};
const double kOneInTwenty = std::log(20);

Moments errors(std::uint64_t requests, std::uint64_t failed) {
    const auto sum = static_cast<double>(failed);
    return {requests, sum, sum};
}

Moments same(std::uint64_t count, double value) {
    const auto n = static_cast<double>(count);
    return {count, n * value, n * value * value};
}

MatchedArms rates(const Moments& stable, const Moments& canary) {
    MatchedArms arms;
    arms.add(stable, canary);
    return arms;
}

TEST(Moments, GrowAndAreSubtracted) {
    Moments values;
    values.add(2);
    const auto earlier = values;
    values.add(3);
    EXPECT_EQ(values, (Moments{2, 5, 13}));
    EXPECT_EQ(values.since(earlier), (Moments{1, 3, 9}));
    values += earlier;
    EXPECT_EQ(values, (Moments{3, 7, 17}));
}

TEST(MatchedArms, EndABlockWhenBothArmsHaveEnough) {
    MatchedArms arms;
    arms.add(same(100, 1), same(7, 2));
    EXPECT_EQ(arms.canary().size, 0);
    arms.add({}, same(1, 2));
    EXPECT_EQ(arms.canary().size, 8);
    EXPECT_DOUBLE_EQ(arms.canary().mean, 2);
    EXPECT_DOUBLE_EQ(arms.stable().size, 100);
    EXPECT_DOUBLE_EQ(arms.stable().mean, 1);
    EXPECT_EQ(arms.open_stable, Moments{});
}

TEST(MatchedArms, KnowTheVarianceWithinBlocksOnly) {
    MatchedArms arms;
    for (const double level : {0.0, 10.0}) {
        Moments values;
        for (int i = 0; i < 10; ++i) {
            values.add(level + (i % 2 == 0 ? 1 : -1));
        }
        arms.add(values, values);
    }
    EXPECT_DOUBLE_EQ(arms.canary().variance, 20.0 / 18);
    EXPECT_DOUBLE_EQ(arms.stable().variance, 20.0 / 18);
}

// Shares and levels move together: an average over all of time would see a difference of 4.
TEST(MatchedArms, CancelWhatMovesBothArms) {
    MatchedArms arms;
    arms.add(same(1000, 1), same(10, 1));
    arms.add(same(10, 6), same(1000, 6));
    EXPECT_NEAR(arms.canary().mean, arms.stable().mean, 1e-9);
    EXPECT_NEAR(arms.canary().mean, 5.95, 0.01);
    EXPECT_LT(arms.stable().size, 11) << "the stable arm is known no better than by its few";
}

TEST(MatchedArms, LeaveOutWhatOneArmDidWhileTheOtherWasAway) {
    MatchedArms canary_away;
    MatchedArms stable_away;
    for (int tick = 0; tick < 1000; ++tick) {
        const bool away = tick >= 100 && tick < 900;
        const double level = away && tick > 200 ? 9 : 1;
        canary_away.add(same(10, level), away ? Moments{} : same(4, level));
        stable_away.add(away ? Moments{} : same(4, level), same(10, level));
    }
    EXPECT_DOUBLE_EQ(canary_away.stable().mean, 1);
    EXPECT_DOUBLE_EQ(canary_away.canary().mean, 1);
    EXPECT_DOUBLE_EQ(stable_away.stable().mean, 1);
    EXPECT_DOUBLE_EQ(stable_away.canary().mean, 1);
}

TEST(MatchedArms, AreNotPlausibleWithImpossibleSums) {
    auto arms = rates(errors(100, 1), errors(10, 1));
    EXPECT_TRUE(arms.plausible());
    EXPECT_TRUE(MatchedArms{}.plausible());
    arms.canary_squares = -1;
    EXPECT_FALSE(arms.plausible());
    arms = rates(errors(100, 1), errors(10, 1));
    arms.stable_inverse = 0;
    EXPECT_FALSE(arms.plausible());
    arms.stable_inverse = std::nan("");
    EXPECT_FALSE(arms.plausible());
}

TEST(Rates, WithoutObservationsAreNoEvidence) {
    const auto evidence = compare_rates({}, kRate);
    EXPECT_EQ(evidence.worse, 0);
    EXPECT_EQ(evidence.fine, 0);
}

TEST(Rates, ShowACanaryThatOnlyFailsAfterOneBlock) {
    EXPECT_GT(compare_rates(rates(errors(800, 8), errors(8, 8)), kRate).worse, std::log(1e6));
    EXPECT_GT(compare_rates(rates(errors(800, 0), errors(8, 8)), kRate).worse, std::log(1e6));
    EXPECT_LT(compare_rates(rates(errors(8, 8), errors(8, 8)), kRate).worse, 0);
}

TEST(Rates, NeedManyRequestsToShowThatNothingIsWrong) {
    EXPECT_LT(compare_rates(rates(errors(9900, 99), errors(100, 1)), kRate).fine, kOneInTwenty);
    EXPECT_GT(compare_rates(rates(errors(198'000, 1980), errors(2000, 20)), kRate).fine,
              kOneInTwenty);
    EXPECT_GT(compare_rates(rates(errors(99'000, 0), errors(1000, 0)), kRate).fine, kOneInTwenty);
}

// The profile over the stable rate against the best of a fine grid.
TEST(Rates, UseTheLikeliestStableRate) {
    const double stable_n = 500;
    const double canary_n = 400;
    for (const auto& [stable, canary] : {std::pair{0, 3}, {5, 0}, {5, 9}, {250, 200}, {499, 400}}) {
        const auto best = [&, s = stable, c = canary](double difference) {
            double largest = -1e300;
            for (double p = 5e-6; p + difference < 1; p += 1e-5) {
                largest = std::max(largest, s * std::log(p) + (stable_n - s) * std::log(1 - p) +
                                                c * std::log(p + difference) +
                                                (canary_n - c) * std::log(1 - p - difference));
            }
            return largest;
        };
        const auto arms = rates(errors(500, static_cast<std::uint64_t>(stable)),
                                errors(400, static_cast<std::uint64_t>(canary)));
        EXPECT_NEAR(compare_rates(arms, {0.1, 0.5}).fine, best(0.1) - best(0.5), 0.05)
            << stable << " and " << canary;
    }
}

TEST(Means, AreNotComparedBeforeTheBurnIn) {
    MatchedArms arms;
    arms.add(same(1000, 0), same(49, 3));
    EXPECT_EQ(compare_means(arms, kRatio, 0.01).worse, 0);
    arms.add(same(1000, 0), same(8, 3));
    EXPECT_GT(compare_means(arms, kRatio, 0.01).worse, std::log(1e6));
}

TEST(Means, WithoutAnySpreadStandOnTheFloor) {
    MatchedArms arms;
    arms.add(same(1000, 0.5), same(100, 0.5));
    const auto evidence = compare_means(arms, kRatio, 0.01);
    EXPECT_TRUE(std::isfinite(evidence.worse));
    EXPECT_GT(evidence.fine, kOneInTwenty);
}

TEST(Means, ShowMoreTheLargerTheDifference) {
    double last = -1e300;
    for (const double difference : {-0.5, 0.0, 0.1, 0.2, 0.5, 1.0, 3.0}) {
        MatchedArms arms;
        Random random(1);
        Moments stable;
        Moments canary;
        for (int i = 0; i < 200; ++i) {
            stable.add(0.7 * bench::normal(random));
            canary.add(difference + 0.7 * bench::normal(random));
        }
        arms.add(stable, canary);
        const auto evidence = compare_means(arms, kRatio, 0.01);
        EXPECT_GT(evidence.worse, last);
        last = evidence.worse;
    }
}

/// Of 200 tests that look after every tick of 25 canary requests, how many ever cross ln 20.
template <class Draw, class Value>
int crossings(int ticks, Draw draw, Value value) {
    int crossed = 0;
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        Random random(seed);
        MatchedArms arms;
        for (int tick = 0; tick < ticks; ++tick) {
            draw(random, arms);
            if (value(arms) >= kOneInTwenty) {
                ++crossed;
                break;
            }
        }
    }
    return crossed;
}

TEST(SequentialTest, IsSeldomWrongHoweverOftenRatesAreLookedAt) {
    const auto draw_at = [](double difference) {
        return [difference](Random& random, MatchedArms& arms) {
            arms.add(errors(75, bench::binomial(random, 75, 0.01)),
                     errors(25, bench::binomial(random, 25, 0.01 + difference)));
        };
    };
    const int bound = bench::binomial_bound(200, 0.05);
    EXPECT_LE(crossings(80, draw_at(kRate.tolerated),
                        [](const auto& arms) { return compare_rates(arms, kRate).worse; }),
              bound);
    EXPECT_LE(crossings(80, draw_at(kRate.harm),
                        [](const auto& arms) { return compare_rates(arms, kRate).fine; }),
              bound);
}

TEST(SequentialTest, IsSeldomWrongHoweverOftenMeansAreLookedAt) {
    const auto draw_at = [](double difference) {
        return [difference](Random& random, MatchedArms& arms) {
            Moments stable;
            Moments canary;
            for (int i = 0; i < 25; ++i) {
                stable.add(0.7 * bench::normal(random));
                canary.add(difference + 0.7 * bench::normal(random));
            }
            arms.add(stable, canary);
        };
    };
    const int bound = bench::binomial_bound(200, 0.05);
    EXPECT_LE(crossings(60, draw_at(kRatio.tolerated),
                        [](const auto& arms) { return compare_means(arms, kRatio, 0.01).worse; }),
              bound);
    EXPECT_LE(crossings(60, draw_at(kRatio.harm),
                        [](const auto& arms) { return compare_means(arms, kRatio, 0.01).fine; }),
              bound);
}

}  // namespace
}  // namespace millrace::routing
