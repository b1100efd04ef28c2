#include "routing/auto_model.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace millrace::routing {
namespace {

using namespace std::chrono_literals;

constexpr Instant kStart = Instant{} + 1h;
constexpr AutoPolicy kNoExploring{.explore = 0};

AutoCandidate candidate(std::string_view model, Duration first_token, double price,
                        double error_rate = 0) {
    return {model, price, 1, {first_token, error_rate, true}};
}

std::string_view chosen(const std::vector<AutoCandidate>& candidates,
                        const AutoPolicy& policy = kNoExploring) {
    Random random(1);
    return candidates[choose_model(candidates, policy, random).index].model;
}

std::vector<int> counts(const std::vector<AutoCandidate>& candidates, const AutoPolicy& policy,
                        int draws) {
    Random random(7);
    std::vector<int> out(candidates.size());
    for (int i = 0; i < draws; ++i) {
        ++out[choose_model(candidates, policy, random).index];
    }
    return out;
}

TEST(AutoModel, WeighsSpeedPriceAndErrors) {
    EXPECT_EQ(chosen({candidate("slow", 400ms, 1), candidate("fast", 200ms, 1)}), "fast");
    EXPECT_EQ(chosen({candidate("dear", 200ms, 4), candidate("cheap", 200ms, 1)}), "cheap");
    EXPECT_EQ(chosen({candidate("ill", 200ms, 1, 0.2), candidate("well", 200ms, 1)}), "well");
    // Twice as slow and four times as cheap: 1 + 1/4 against 1/2 + 1.
    const std::vector<AutoCandidate> both = {candidate("fast", 200ms, 4),
                                             candidate("cheap", 400ms, 1)};
    EXPECT_EQ(chosen(both), "cheap");
    EXPECT_EQ(chosen(both, {.speed = 2, .explore = 0}), "fast");
    EXPECT_EQ(chosen({candidate("broken", 100ms, 1, 0.5), candidate("slow", 900ms, 1)}), "slow");
    EXPECT_EQ(chosen({candidate("free", 300ms, 0), candidate("free too", 200ms, 0)}), "free too");
}

TEST(AutoModel, DoesNotChangeWithTheUnit) {
    for (const double unit : {1e-3, 1.0, 1e3}) {
        EXPECT_EQ(chosen({candidate("a", 200ms, 4 * unit), candidate("b", 300ms, 1 * unit)}), "b");
    }
}

TEST(AutoModel, TakesOneWithoutReadyEndpointOnlyWhenNoneIsReady) {
    std::vector<AutoCandidate> candidates = {candidate("best", 100ms, 1),
                                             candidate("ready", 900ms, 9, 0.5)};
    candidates[0].ready_endpoints = 0;
    EXPECT_EQ(chosen(candidates), "ready");
    candidates[1].ready_endpoints = 0;
    EXPECT_EQ(chosen(candidates), "best");
}

TEST(AutoModel, DrawsAmongEquals) {
    const auto got =
        counts({candidate("a", 200ms, 1), candidate("b", 200ms, 1), candidate("c", 201ms, 1)},
               kNoExploring, 1'000);
    EXPECT_GT(got[0], 400);
    EXPECT_GT(got[1], 400);
    EXPECT_EQ(got[2], 0);
}

TEST(AutoModel, ExploresWhatIsNotMeasuredNowAndThen) {
    std::vector<AutoCandidate> candidates = {candidate("known", 100ms, 1), candidate("new", 1s, 1),
                                             candidate("asleep", 1s, 1)};
    EXPECT_EQ(counts(candidates, {.explore = 0.1}, 10'000)[1], 0) << "measured, and worse";
    candidates[1].reading.is_measured = false;
    candidates[2].reading.is_measured = false;
    candidates[2].ready_endpoints = 0;
    const auto got = counts(candidates, {.explore = 0.1}, 10'000);
    EXPECT_NEAR(got[1], 1'000, 100);
    EXPECT_EQ(got[2], 0);
    Random random(7);
    for (int i = 0; i < 100; ++i) {
        const auto choice = choose_model(candidates, {.explore = 0.1}, random);
        EXPECT_EQ(choice.explored, choice.index == 1);
    }
}

TEST(AutoModel, ExplainsEveryCost) {
    std::vector<AutoCandidate> candidates = {candidate("a", 400ms, 2),
                                             candidate("b", 200ms, 0.5, 0.01)};
    candidates[1].reading.is_measured = false;
    Random random(1);
    Trace trace;
    choose_model(candidates, kNoExploring, random, &trace);
    EXPECT_EQ(trace.lines(),
              (std::vector<std::string>{
                  "Candidate a: first token 400 ms x 1.0, price 2.00 micro-USD x 1.0, errors 0.0 % "
                  "x 4.0 -> cost 2.000.",
                  "Candidate b: first token 200 ms (assumed) x 1.0, price 0.50 micro-USD x 1.0, "
                  "errors 1.0 % x 4.0 -> cost 0.790.",
                  "Model b is taken: the lowest cost."}));
}

TEST(ModelMeasure, BeginsWithAnAssumptionThatSamplesReplace) {
    ModelMeasure measure;
    EXPECT_EQ(measure.read().first_token, ModelMeasure::kPriorFirstToken);
    EXPECT_FALSE(measure.read().is_measured);
    measure.first_token(100ms);
    measure.first_token(300ms);
    measure.tick(kStart);
    EXPECT_TRUE(measure.read().is_measured);
    EXPECT_NEAR(seconds(measure.read().first_token), (0.1 + 0.3 + 2 * 1) / 4, 1e-9);
    for (int i = 0; i < 1'000; ++i) {
        measure.first_token(200ms);
    }
    measure.tick(kStart + 1s);
    EXPECT_NEAR(seconds(measure.read().first_token), 0.2, 0.01);
}

TEST(ModelMeasure, ForgetsWhatIsOld) {
    ModelMeasure measure;
    for (int second = 0; second < 120; ++second) {
        for (int i = 0; i < 10; ++i) {
            measure.first_token(5s);
            measure.ended(true);
        }
        measure.tick(kStart + second * 1s);
    }
    EXPECT_NEAR(seconds(measure.read().first_token), 5, 0.1);
    EXPECT_GT(measure.read().error_rate, 0.95);
    for (int second = 120; second < 420; ++second) {
        for (int i = 0; i < 10; ++i) {
            measure.first_token(100ms);
            measure.ended(false);
        }
        measure.tick(kStart + second * 1s);
    }
    EXPECT_LT(seconds(measure.read().first_token), 0.2);
    EXPECT_LT(measure.read().error_rate, 0.02);
    measure.tick(kStart + 1h);
    EXPECT_FALSE(measure.read().is_measured);
    EXPECT_NEAR(seconds(measure.read().first_token), 1, 1e-6);
    EXPECT_NEAR(measure.read().error_rate, 0, 1e-6);
}

TEST(ModelMeasure, DoesNotExploreWhatOnlyFails) {
    ModelMeasure measure;
    for (int i = 0; i < 10; ++i) {
        measure.ended(true);
    }
    measure.tick(kStart);
    EXPECT_TRUE(measure.read().is_measured);
    EXPECT_NEAR(measure.read().error_rate, 10.0 / 12, 1e-9) << "two requests are assumed well";
}

TEST(ModelMeasure, CountsFromManyThreads) {
    ModelMeasure measure;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&] {
            for (int i = 0; i < 1'000; ++i) {
                measure.first_token(2s);
                measure.ended(i % 4 == 0);
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
    measure.tick(kStart);
    EXPECT_NEAR(seconds(measure.read().first_token), 8'002.0 / 4'002, 1e-6);
    EXPECT_NEAR(measure.read().error_rate, 1'000.0 / 4'002, 1e-9);
}

}  // namespace
}  // namespace millrace::routing
