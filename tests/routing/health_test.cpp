#include "routing/health.hpp"

#include <gtest/gtest.h>

#include "tests/routing/health_fleet.hpp"

namespace millrace::routing {
namespace {

using std::chrono::seconds;
using testing::Fleet;

constexpr auto kNoCap = EndpointHealth::kNoCap;
constexpr auto kGood = AttemptEvidence::good;
constexpr auto kNone = AttemptEvidence::none;
constexpr auto kBad = AttemptEvidence::bad;

HealthChange change(const char* endpoint, HealthState from, HealthState to, HealthCause cause,
                    Instant until = {}) {
    return {endpoint, from, to, cause, until};
}

TEST(Health, EveryChangeHasAName) {
    EXPECT_EQ(to_string(HealthState::healthy), "healthy");
    EXPECT_EQ(to_string(HealthState::half_open), "half_open");
    EXPECT_EQ(to_string(HealthCause::checks_failed), "checks_failed");
    EXPECT_EQ(to_string(HealthCause::shutting_down), "shutting_down");
    EXPECT_EQ(to_string(HealthCause::trial_failed), "trial_failed");
    EXPECT_EQ(to_string(HealthCause::too_few_endpoints), "too_few_endpoints");
}

TEST(CheckResult, Is2xxOrFailed) {
    EXPECT_TRUE(CheckResult::of_status(200).ok);
    EXPECT_FALSE(CheckResult::of_status(0).ok);
    EXPECT_FALSE(CheckResult::of_status(302).ok);
    EXPECT_FALSE(CheckResult::of_status(503).ok);
}

TEST(Health, ChecksTakeAnEndpointOutAfterThreeFailuresAndBackAfterOneSuccess) {
    Fleet fleet(1);
    EXPECT_TRUE(fleet.endpoints[0]->health.available());  // never checked
    EXPECT_FALSE(fleet.check(0, false));
    EXPECT_FALSE(fleet.check(0, false));
    EXPECT_FALSE(fleet.check(0, true));  // not in a row
    EXPECT_FALSE(fleet.check(0, false));
    EXPECT_FALSE(fleet.check(0, false));
    EXPECT_TRUE(fleet.endpoints[0]->health.available());
    EXPECT_EQ(fleet.check(0, false), change("e0", HealthState::healthy, HealthState::unhealthy,
                                            HealthCause::checks_failed));
    EXPECT_FALSE(fleet.endpoints[0]->health.available());  // the only one, and still out
    EXPECT_FALSE(fleet.check(0, false));
    EXPECT_EQ(fleet.check(0, true), change("e0", HealthState::unhealthy, HealthState::healthy,
                                           HealthCause::check_passed));
    EXPECT_EQ(fleet.cap(0), kNoCap);
}

TEST(Health, OneFailedCheckIsEnoughForWhoHasBegunToCloseItsConnections) {
    Fleet fleet(2);
    auto& endpoint = fleet.endpoints[0]->health;
    endpoint.answered(true);
    EXPECT_FALSE(fleet.check(0, false)) << "it keeps its connections";
    EXPECT_FALSE(fleet.check(0, true));
    endpoint.answered(false);
    EXPECT_FALSE(fleet.check(0, true)) << "it is well, and closed one for another reason";
    EXPECT_FALSE(fleet.check(0, false)) << "the announcement was before it was well";
    EXPECT_FALSE(fleet.check(0, true));
    endpoint.answered(true);
    endpoint.answered(false);
    EXPECT_EQ(fleet.check(0, false), change("e0", HealthState::healthy, HealthState::unhealthy,
                                            HealthCause::shutting_down));
    EXPECT_EQ(fleet.cap(0), 0U);
    EXPECT_EQ(fleet.cap(1), kNoCap);
    EXPECT_EQ(fleet.check(0, true), change("e0", HealthState::unhealthy, HealthState::healthy,
                                           HealthCause::check_passed));
}

TEST(Health, WhoNeverKeepsConnectionsAnnouncesNothingByClosingThem) {
    Fleet fleet(2);
    for (int i = 0; i < 2; ++i) {
        fleet.endpoints[0]->health.answered(false);
        EXPECT_FALSE(fleet.check(0, false));
    }
    EXPECT_EQ(fleet.check(0, false)->cause, HealthCause::checks_failed);
}

TEST(Health, ChecksCountInTheConfiguredNumber) {
    auto policy = Fleet::without_jitter();
    policy.checks = {.unhealthy_after = 1, .healthy_after = 2};
    Fleet fleet(2, policy);
    EXPECT_TRUE(fleet.check(0, false));
    EXPECT_FALSE(fleet.check(0, true));
    EXPECT_FALSE(fleet.check(0, false));
    EXPECT_FALSE(fleet.check(0, true));
    EXPECT_TRUE(fleet.check(0, true));
}

TEST(Health, WithoutChecksEveryEndpointPasses) {
    Fleet fleet(2);
    for (int i = 0; i < 3; ++i) {
        fleet.check(0, false);
    }
    auto policy = Fleet::without_jitter();
    policy.checks.enabled = false;
    const auto changes = fleet.pool.configure(policy, fleet.now);
    EXPECT_EQ(changes,
              (PoolHealth::Changes{change("e0", HealthState::unhealthy, HealthState::healthy,
                                          HealthCause::checks_off)}));
    for (int i = 0; i < 9; ++i) {
        EXPECT_FALSE(fleet.check(1, false));
    }
    EXPECT_EQ(fleet.cap(0), kNoCap);
    EXPECT_EQ(fleet.cap(1), kNoCap);
}

TEST(Health, FiveFailuresInARowEjectAtOnce) {
    Fleet fleet(2);
    EXPECT_FALSE(fleet.fail(0, 4));
    EXPECT_FALSE(fleet.attempt(0, kGood));
    EXPECT_FALSE(fleet.fail(0, 4));
    EXPECT_FALSE(fleet.attempt(0, kNone));  // neither way
    EXPECT_TRUE(fleet.endpoints[0]->health.available());
    EXPECT_EQ(fleet.attempt(0, kBad),
              change("e0", HealthState::healthy, HealthState::ejected,
                     HealthCause::consecutive_failures, fleet.now + seconds(10)));
    EXPECT_EQ(fleet.cap(0), 0U);
    EXPECT_EQ(fleet.cap(1), kNoCap);
    EXPECT_FALSE(fleet.fail(0, 20));  // aftermath
    EXPECT_EQ(fleet.pool.counts().ejected, 1U);
}

// RELIABILITY: a thousand bad requests of one client must not open the circuit for the others.
TEST(Health, ClientErrorsNeverEject) {
    Fleet fleet(2);
    for (int i = 0; i < 1000; ++i) {
        EXPECT_FALSE(fleet.attempt(0, evidence_of(400)));
        EXPECT_FALSE(fleet.attempt(0, evidence_of(429)));
        EXPECT_FALSE(fleet.attempt(0, evidence_of(Errc::client_closed, false)));
    }
    EXPECT_TRUE(fleet.sweep().empty());
}

TEST(Health, APoolOfOneCannotLoseItAndAPoolOfTwoCanLoseOne) {
    Fleet one(1);
    EXPECT_FALSE(one.fail(0, 100));
    EXPECT_TRUE(one.sweep().empty());
    EXPECT_EQ(one.cap(0), kNoCap);
    Fleet two(2);
    EXPECT_TRUE(two.fail(0, 5));
    EXPECT_FALSE(two.fail(1, 100));
    EXPECT_TRUE(two.sweep().empty());
    EXPECT_EQ(two.cap(1), kNoCap);
}

TEST(Health, HalfFailedAttemptsOfAWindowEjectAtTheSweep) {
    Fleet fleet(2);
    for (int i = 0; i < 10; ++i) {
        fleet.attempt(0, kGood);
        fleet.attempt(0, kBad);
        fleet.attempt(1, kGood);
    }
    EXPECT_TRUE(fleet.endpoints[0]->health.available());
    const auto changes = fleet.sweep();
    EXPECT_EQ(changes, (PoolHealth::Changes{change("e0", HealthState::healthy, HealthState::ejected,
                                                   HealthCause::failure_percentage,
                                                   fleet.now + seconds(10))}));
    EXPECT_EQ(fleet.cap(0), 0U);
}

TEST(Health, TheSweepJudgesTheLastTenSecondsOnly) {
    Fleet fleet(2);
    for (int i = 0; i < 9; ++i) {
        fleet.attempt(0, kBad);
        fleet.attempt(0, kGood);
    }
    EXPECT_TRUE(fleet.sweep().empty());  // 18 of 20 attempts
    for (int i = 0; i < 9; ++i) {
        EXPECT_TRUE(fleet.sweep().empty());
    }
    fleet.attempt(0, kBad);
    fleet.attempt(0, kBad);
    EXPECT_TRUE(fleet.sweep().empty());
}

TEST(Health, SlowFirstTokensEjectWhenAskedTo) {
    auto policy = Fleet::without_jitter();
    policy.outliers.latency_factor = 3;
    Fleet fleet(4, policy);
    for (std::size_t i = 0; i < 4; ++i) {
        for (int n = 0; n < 10; ++n) {
            EXPECT_FALSE(fleet.pool.first_token(fleet.endpoints[i]->health,
                                                std::chrono::milliseconds(i == 2 ? 400 : 100),
                                                fleet.now, fleet.now));
        }
    }
    const auto changes = fleet.sweep();
    ASSERT_EQ(changes.size(), 1U);
    EXPECT_EQ(changes[0].endpoint, "e2");
    EXPECT_EQ(changes[0].cause, HealthCause::slow_first_token);
}

TEST(Health, ComesBackSlowlyAndProvesItself) {
    Fleet fleet(2);
    fleet.endpoints[0]->in_flight = 3;  // long streams that the ejection does not touch
    fleet.fail(0, 5);
    EXPECT_TRUE(fleet.sweep(seconds(9)).empty());
    const auto over = fleet.sweep();
    EXPECT_EQ(over, (PoolHealth::Changes{change("e0", HealthState::ejected, HealthState::half_open,
                                                HealthCause::ejection_over)}));
    EXPECT_EQ(fleet.cap(0), 4U);  // they do not take the trial's place
    fleet.endpoints[0]->in_flight = 2;
    EXPECT_TRUE(fleet.sweep().empty());
    EXPECT_EQ(fleet.cap(0), 3U);
    fleet.endpoints[0]->in_flight = 9;
    EXPECT_TRUE(fleet.sweep().empty());
    EXPECT_EQ(fleet.cap(0), 3U);  // the trials themselves are not left over
    fleet.endpoints[0]->in_flight = 0;
    EXPECT_TRUE(fleet.sweep().empty());
    for (const std::uint32_t cap : {1U, 2U, 4U, 8U, 16U}) {
        EXPECT_EQ(fleet.cap(0), cap);
        EXPECT_FALSE(fleet.attempt(0, kGood));
    }
    EXPECT_FALSE(fleet.attempt(0, kNone));
    EXPECT_EQ(fleet.cap(0), 32U);
    EXPECT_EQ(
        fleet.pool.first_token(fleet.endpoints[0]->health, seconds(1), fleet.now, fleet.now),
        change("e0", HealthState::half_open, HealthState::healthy, HealthCause::trials_succeeded));
    EXPECT_EQ(fleet.cap(0), kNoCap);
    EXPECT_TRUE(fleet.sweep().empty());
}

TEST(Health, AFailedTrialEjectsAtOnceAndForLonger) {
    Fleet fleet(2);
    fleet.fail(0, 5);
    fleet.sweep(seconds(10));
    fleet.attempt(0, kGood);
    EXPECT_EQ(fleet.attempt(0, kBad), change("e0", HealthState::half_open, HealthState::ejected,
                                             HealthCause::trial_failed, fleet.now + seconds(20)));
    EXPECT_EQ(fleet.cap(0), 0U);
}

// The budget holds one of two; it is the half-open one's already.
TEST(Health, ATrialKeepsItsPlaceInTheShareThatCanBeSpared) {
    Fleet fleet(2);
    fleet.fail(0, 5);
    fleet.sweep(seconds(10));
    EXPECT_FALSE(fleet.fail(1, 50));
    EXPECT_EQ(fleet.cap(1), kNoCap);
    EXPECT_TRUE(fleet.attempt(0, kBad));
}

TEST(Health, AttemptsFromBeforeAStateSayNothingAboutIt) {
    Fleet fleet(2);
    const auto before = fleet.now;
    fleet.fail(0, 5);
    fleet.sweep(seconds(10));
    EXPECT_FALSE(fleet.attempt(0, kBad, before));
    EXPECT_FALSE(fleet.attempt(0, kGood, before));
    EXPECT_FALSE(fleet.pool.first_token(fleet.endpoints[0]->health, seconds(1), before, fleet.now));
    EXPECT_EQ(fleet.cap(0), 1U);
    EXPECT_TRUE(fleet.earn_trust(0));
    for (int i = 0; i < 30; ++i) {
        EXPECT_FALSE(fleet.attempt(0, kBad, before));
    }
    EXPECT_EQ(fleet.cap(0), kNoCap);
}

TEST(Health, BeginsWithACleanRecordAfterTheTrials) {
    auto policy = Fleet::without_jitter();
    policy.breaker.base = seconds(1);
    Fleet fleet(2, policy);
    for (int i = 0; i < 40; ++i) {
        fleet.attempt(0, kBad);
    }
    EXPECT_EQ(fleet.sweep().size(), 1U);  // over, and the forty are in the window still
    EXPECT_TRUE(fleet.earn_trust(0));
    EXPECT_TRUE(fleet.sweep().empty());
    EXPECT_FALSE(fleet.fail(0, 4));
}

TEST(Health, APassingCheckDoesNotEndAnEjection) {
    Fleet fleet(2);
    fleet.fail(0, 5);
    EXPECT_FALSE(fleet.check(0, true));
    EXPECT_EQ(fleet.cap(0), 0U);
}

TEST(Health, WhatHappenedDuringAnOutageIsForgottenWithIt) {
    Fleet fleet(2);
    for (int i = 0; i < 3; ++i) {
        fleet.check(0, false);
    }
    EXPECT_FALSE(fleet.fail(0, 100));  // out already: needs no ejection
    fleet.now += seconds(1);
    fleet.check(0, true);
    EXPECT_FALSE(fleet.fail(0, 4));
    EXPECT_TRUE(fleet.sweep().empty());
    EXPECT_TRUE(fleet.fail(0, 1));
}

TEST(Health, PanicsWhenSuspicionAndFailedChecksLeaveTooFew) {
    Fleet fleet(4);
    fleet.fail(0, 5);
    fleet.fail(1, 5);
    EXPECT_FALSE(fleet.pool.counts().panic);
    for (int i = 0; i < 3; ++i) {
        fleet.check(2, false);
    }
    EXPECT_TRUE(fleet.pool.counts().panic);  // one of four at full service
    EXPECT_EQ(fleet.cap(0), kNoCap);
    EXPECT_EQ(fleet.cap(1), kNoCap);
    EXPECT_EQ(fleet.cap(2), 0U);  // a failed check is no suspicion
    EXPECT_EQ(fleet.cap(3), kNoCap);
    fleet.check(2, true);
    EXPECT_FALSE(fleet.pool.counts().panic);
    EXPECT_EQ(fleet.cap(0), 0U);
    EXPECT_EQ(fleet.cap(2), kNoCap);
}

TEST(Health, FailedChecksAloneAreNoPanic) {
    Fleet fleet(4);
    for (std::size_t i = 0; i < 3; ++i) {
        for (int n = 0; n < 3; ++n) {
            fleet.check(i, false);
        }
    }
    EXPECT_FALSE(fleet.pool.counts().panic);
    EXPECT_EQ(fleet.pool.counts().unhealthy, 3U);
    EXPECT_EQ(fleet.cap(0), 0U);
}

TEST(Health, AShrinkingPoolTakesBackWhomItCannotSpare) {
    Fleet fleet(4);
    fleet.fail(1, 5);
    fleet.now += seconds(5);
    fleet.fail(0, 5);
    const auto changes = fleet.join(2);
    EXPECT_EQ(changes, (PoolHealth::Changes{change("e1", HealthState::ejected, HealthState::healthy,
                                                   HealthCause::too_few_endpoints)}));
    EXPECT_EQ(fleet.cap(0), 0U);
    EXPECT_EQ(fleet.cap(1), kNoCap);
    EXPECT_EQ(fleet.join(1).size(), 1U);
    EXPECT_EQ(fleet.cap(0), kNoCap);
}

TEST(Health, SurvivesLeavingAndComingBack) {
    Fleet fleet(4);
    fleet.fail(3, 5);
    EXPECT_TRUE(fleet.join(3).empty());
    EXPECT_FALSE(fleet.fail(3, 5));  // not the pool's any more
    EXPECT_EQ(fleet.pool.counts().ejected, 0U);
    EXPECT_TRUE(fleet.join(4).empty());
    EXPECT_EQ(fleet.pool.counts().ejected, 1U);
    EXPECT_EQ(fleet.sweep(seconds(10)).size(), 1U);
}

TEST(Health, ANewPolicyHoldsAtOnce) {
    Fleet fleet(4);
    fleet.fail(0, 5);
    fleet.fail(1, 5);
    auto policy = Fleet::without_jitter();
    policy.outliers.max_ejected_percent = 25;
    policy.outliers.consecutive_failures = 0;
    EXPECT_EQ(fleet.pool.configure(policy, fleet.now).size(), 1U);
    EXPECT_EQ(fleet.pool.counts().ejected, 1U);
    policy.outliers.max_ejected_percent = 0;
    EXPECT_EQ(fleet.pool.configure(policy, fleet.now).size(), 1U);
    EXPECT_FALSE(fleet.fail(2, 50));
}

}  // namespace
}  // namespace millrace::routing
