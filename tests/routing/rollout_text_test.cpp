#include "routing/rollout_text.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace millrace::routing {
namespace {

using namespace std::chrono_literals;

Comparison comparison(Measure measure, double canary, double stable) {
    Comparison known;
    known.measure = measure;
    known.canary = {640, measure == Measure::error_rate ? canary : std::log(canary), 0};
    known.stable = {63360.4, measure == Measure::error_rate ? stable : std::log(stable), 0};
    return known;
}

TEST(RolloutText, GivesErrorRatesInPercentWithoutAChange) {
    EXPECT_EQ(describe(comparison(Measure::error_rate, 0.031, 0.01017)),
              "error rate 3.1 % against 1.02 % (n = 640 and 63360)");
    EXPECT_EQ(describe(comparison(Measure::error_rate, 1, 0)),
              "error rate 100 % against 0 % (n = 640 and 63360)");
}

TEST(RolloutText, GivesTimesInMillisecondsAndTheirChange) {
    EXPECT_EQ(describe(comparison(Measure::first_token, 0.412, 0.343)),
              "first token 412 ms against 343 ms (+20.1 %, n = 640 and 63360)");
    EXPECT_EQ(describe(comparison(Measure::token_gap, 0.0123456, 0.012)),
              "token gap 12.3 ms against 12 ms (+2.9 %, n = 640 and 63360)");
    EXPECT_EQ(describe(comparison(Measure::first_token, 12.3456, 0.9994)),
              "first token 12346 ms against 999 ms (+1.14e+03 %, n = 640 and 63360)")
        << "whole milliseconds above a second";
}

TEST(RolloutText, GivesCostAsItIs) {
    EXPECT_EQ(describe(comparison(Measure::cost, 3e-6, 2e-6)),
              "cost per token $3e-06 against $2e-06 (+50 %, n = 640 and 63360)");
}

TEST(RolloutText, SignsTheChangeAndRoundsItToATenth) {
    const auto change = [](double ratio) {
        const auto text = describe(comparison(Measure::token_gap, 0.1 * ratio, 0.1));
        const auto from = text.find('(') + 1;
        return text.substr(from, text.find(',') - from);
    };
    EXPECT_EQ(change(1.2), "+20 %");
    EXPECT_EQ(change(0.97), "-3 %");
    EXPECT_EQ(change(1), "+0 %");
    EXPECT_EQ(change(0.9996), "+0 %") << "no minus before what rounds to nothing";
    EXPECT_EQ(change(0.9989), "-0.1 %");
}

TEST(RolloutText, SaysThatNothingCanBeComparedYet) {
    auto known = comparison(Measure::cost, 3e-6, 2e-6);
    known.canary.size = 0;
    EXPECT_EQ(describe(known), "cost per token not yet comparable");
}

TEST(RolloutText, NamesEveryMeasure) {
    for (const auto measure : kMeasures) {
        EXPECT_FALSE(describe(comparison(measure, 0.1, 0.1)).starts_with(' '))
            << to_string(measure);
    }
}

TEST(RolloutText, GivesMarginsAsThePolicyStatesThem) {
    EXPECT_EQ(describe_margin(Measure::error_rate, 0.002), "0.2 points");
    EXPECT_EQ(describe_margin(Measure::error_rate, 0.01), "1 points");
    for (const auto measure : {Measure::first_token, Measure::token_gap, Measure::cost}) {
        EXPECT_EQ(describe_margin(measure, 0.05), "5 %");
    }
}

TEST(RolloutText, GivesDurationsInWholeUnitsRoundedDown) {
    EXPECT_EQ(describe(Duration(0s)), "0 s");
    EXPECT_EQ(describe(Duration(7900ms)), "7 s");
    EXPECT_EQ(describe(Duration(119999ms)), "119 s");
    EXPECT_EQ(describe(Duration(120s)), "2 min");
    EXPECT_EQ(describe(Duration(7199s)), "119 min");
    EXPECT_EQ(describe(Duration(7200s)), "2 h");
    EXPECT_EQ(describe(Duration(26h + 59min)), "26 h");
}

}  // namespace
}  // namespace millrace::routing
