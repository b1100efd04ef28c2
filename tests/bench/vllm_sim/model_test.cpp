#include "bench/vllm_sim/model.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <map>

namespace millrace::vllm_sim {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr Instant kStart{std::chrono::seconds(100)};

/// 10 ms per iteration and 1 ms per prefilled token: whole numbers everywhere.
constexpr Cost kCost{.base_ms = 10, .per_prefill_token_ms = 1};

struct Outcome {
    std::map<SequenceId, std::vector<double>> at_ms;  ///< of each token
    std::vector<SequenceId> finished;                 ///< in order
};

/// Runs until idle; `emissions` are those that came before.
Outcome run(BatchModel& model, std::vector<Emission> emissions = {}) {
    Outcome result;
    while (const auto next = model.next()) {
        model.advance(*next, emissions);
    }
    for (const Emission& emission : emissions) {
        auto& times = result.at_ms[emission.id];
        EXPECT_EQ(emission.index, times.size()) << "serial numbers have no holes";
        times.push_back(seconds(emission.at - kStart) * 1000);
        if (emission.last) {
            result.finished.push_back(emission.id);
        }
    }
    return result;
}

TEST(BatchModel, PrefillsThenDecodesOneTokenPerIteration) {
    BatchModel model({}, kCost);
    ASSERT_TRUE(model.submit(1, 20, 0, 3, kStart));
    const Outcome result = run(model);
    EXPECT_EQ(result.at_ms.at(1), (std::vector<double>{30, 40, 50}));
    EXPECT_EQ(model.running(), 0U);
    EXPECT_EQ(model.kv_usage(), 0);
}

TEST(BatchModel, CachedTokensShortenThePrefill) {
    BatchModel model({}, kCost);
    ASSERT_TRUE(model.submit(1, 20, 16, 1, kStart));
    EXPECT_EQ(run(model).at_ms.at(1), std::vector<double>{14});
}

TEST(BatchModel, ChargesForTheBatchAndTheContext) {
    BatchModel model({}, {.base_ms = 10, .per_sequence_ms = 2, .per_context_token_ms = 0.5});
    ASSERT_TRUE(model.submit(1, 4, 0, 2, kStart));
    ASSERT_TRUE(model.submit(2, 4, 0, 2, kStart));
    const auto result = run(model).at_ms;
    // 1: prefill of the first alone (10). 2: prefill of the second, decode of the first with 5
    // tokens of context.
    EXPECT_EQ(result.at(1), (std::vector<double>{10, 24.5}));
    EXPECT_EQ(result.at(2), (std::vector<double>{24.5, 39}));
}

TEST(BatchModel, LateArrivalsJoinTheNextIteration) {
    BatchModel model({}, kCost);
    ASSERT_TRUE(model.submit(1, 10, 0, 3, kStart));  // prefill ends at 20
    ASSERT_TRUE(model.submit(2, 5, 0, 1, kStart + milliseconds(3)));
    const auto result = run(model).at_ms;
    EXPECT_EQ(result.at(1), (std::vector<double>{20, 35, 45}));
    EXPECT_EQ(result.at(2), std::vector<double>{35});
}

TEST(BatchModel, AdmitsInOrderUpToTheSeats) {
    BatchModel model({.max_num_seqs = 2}, kCost);
    for (SequenceId id = 1; id <= 4; ++id) {
        ASSERT_TRUE(model.submit(id, 1, 0, 2, kStart));
    }
    EXPECT_EQ(model.running(), 1U)
        << "the first started alone, the others wait for the next iteration";
    EXPECT_EQ(model.waiting(), 3U);
    std::vector<Emission> emissions;
    model.advance(kStart + milliseconds(11), emissions);
    EXPECT_EQ(model.running(), 2U);
    EXPECT_EQ(model.waiting(), 2U);
    EXPECT_EQ(run(model, emissions).finished, (std::vector<SequenceId>{1, 2, 3, 4}));
}

TEST(BatchModel, SplitsALongPrefillOverIterations) {
    BatchModel model({.prefill_tokens_per_iteration = 8}, kCost);
    ASSERT_TRUE(model.submit(1, 20, 0, 1, kStart));
    EXPECT_EQ(run(model).at_ms.at(1), std::vector<double>{18 + 18 + 14});
}

TEST(BatchModel, KeepsTheKvCacheWithinItsCapacityAndPreemptsTheYoungest) {
    BatchModel model({.kv_tokens = 64}, kCost);  // 4 blocks
    ASSERT_TRUE(model.submit(1, 15, 0, 40, kStart));
    ASSERT_TRUE(model.submit(2, 15, 0, 20, kStart));
    std::vector<Emission> emissions;
    std::map<SequenceId, std::uint32_t> tokens;
    double peak = 0;
    while (const auto next = model.next()) {
        model.advance(*next, emissions);
        peak = std::max(peak, model.kv_usage());
        EXPECT_LE(model.kv_usage(), 1.0);
    }
    for (const Emission& emission : emissions) {
        EXPECT_EQ(emission.index, tokens[emission.id]++);
    }
    EXPECT_EQ(tokens[1], 40U);
    EXPECT_EQ(tokens[2], 20U);
    EXPECT_EQ(emissions.back().id, 2U) << "the older one is never preempted for the younger one";
    EXPECT_GE(model.preemptions(), 1U);
    EXPECT_EQ(peak, 1.0);
}

TEST(BatchModel, RefusesWhatCanNeverFit) {
    BatchModel model({.kv_tokens = 64}, kCost);
    EXPECT_FALSE(model.submit(1, 60, 0, 10, kStart));
    EXPECT_TRUE(model.submit(2, 60, 0, 4, kStart));
}

TEST(BatchModel, CancelFreesTheSeatInEveryState) {
    BatchModel model({.max_num_seqs = 1}, kCost);
    ASSERT_TRUE(model.submit(1, 5, 0, 100, kStart));
    ASSERT_TRUE(model.submit(2, 5, 0, 100, kStart));
    ASSERT_TRUE(model.submit(3, 5, 0, 2, kStart));
    model.cancel(2);  // waiting
    model.cancel(1);  // running
    model.cancel(99);
    const Outcome result = run(model);
    EXPECT_EQ(result.finished, std::vector<SequenceId>{3});
    EXPECT_FALSE(result.at_ms.contains(1));
    EXPECT_EQ(model.kv_usage(), 0);
}

TEST(BatchModel, IsIdleWithoutWork) {
    BatchModel model({}, kCost);
    EXPECT_FALSE(model.next());
    std::vector<Emission> emissions;
    model.advance(kStart, emissions);
    EXPECT_TRUE(emissions.empty());
}

}  // namespace
}  // namespace millrace::vllm_sim
