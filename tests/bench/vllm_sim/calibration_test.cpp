#include "bench/vllm_sim/calibration.hpp"

#include <gtest/gtest.h>

#include <string>

namespace millrace::vllm_sim {
namespace {

constexpr std::string_view kHeader =
    "model,hardware,prompt_size,batch_size,token_size,peak_power,average_power,prompt_time,"
    "token_time,e2e_time,tensor_parallel\n";

/// Rows that follow the model exactly: prompt 20 + 0.1 per token, decode 8 + 0.25 per sequence +
/// 0.001 per context token.
std::string exact_rows(bool seconds) {
    std::string csv(kHeader);
    for (const double prompt : {128.0, 512.0, 2048.0}) {
        for (const double batch : {1.0, 4.0, 16.0}) {
            const double tokens = 128;
            const double prompt_ms = 20 + 0.1 * prompt * batch;
            const double token_ms = 8 + 0.25 * batch + 0.001 * batch * (prompt + tokens / 2);
            const double scale = seconds ? 1000 : 1;
            const double decode = seconds ? token_ms * tokens / scale : token_ms;
            const double whole = (prompt_ms + token_ms * tokens) / scale;
            csv += "m,a100," + std::to_string(prompt) + "," + std::to_string(batch) + ",128,0,0," +
                   std::to_string(prompt_ms / scale) + "," + std::to_string(decode) + "," +
                   std::to_string(whole) + ",2\n";
        }
    }
    return csv + "other,a100,1,1,1,0,0,1,1,2,2\n";
}

TEST(Calibration, RecoversAnExactModelInBothDialects) {
    for (const bool seconds : {false, true}) {
        const auto fitted = calibrate(exact_rows(seconds), {"f", "m", "a100", 2});
        ASSERT_TRUE(fitted) << fitted.error().detail;
        EXPECT_EQ(fitted->rows, 9);
        EXPECT_NEAR(fitted->cost.base_ms, 8, 0.02);
        EXPECT_NEAR(fitted->cost.per_sequence_ms, 0.25, 0.005);
        EXPECT_NEAR(fitted->cost.per_context_token_ms, 0.001, 1e-5);
        EXPECT_NEAR(fitted->cost.per_prefill_token_ms, 0.1, 1e-3);
        EXPECT_NEAR(fitted->cost.prefill_base_ms, 12, 0.1)
            << "what prefill costs beyond an iteration";
        EXPECT_LT(fitted->prefill_error, 0.001);
        EXPECT_LT(fitted->decode_error, 0.001);
    }
}

TEST(Calibration, OneGenerationThatEndedEarlyDoesNotChangeTheUnits) {
    // Per-token times in ms, but the whole took hardly longer than one token.
    const std::string csv = exact_rows(false) + "m,a100,128,1,128,0,0,32.8,8.442,42,2\n";
    const auto fitted = calibrate(csv, {"f", "m", "a100", 2});
    ASSERT_TRUE(fitted);
    EXPECT_EQ(fitted->rows, 10);
    EXPECT_NEAR(fitted->cost.base_ms, 8, 0.02);
}

TEST(Calibration, NeverFitsNegativeCosts) {
    std::string csv(kHeader);
    // Decode gets faster with the batch: no linear model with positive costs says that.
    for (const int batch : {1, 2, 4, 8}) {
        csv += "m,a100,512," + std::to_string(batch) + ",100,0,0,50," + std::to_string(20 - batch) +
               "," + std::to_string(50 + (20 - batch) * 100) + ",1\n";
    }
    const auto fitted = calibrate(csv, {"f", "m", "a100", 1});
    ASSERT_TRUE(fitted);
    EXPECT_EQ(fitted->cost.per_sequence_ms, 0);
    EXPECT_EQ(fitted->cost.per_context_token_ms, 0);
    EXPECT_GT(fitted->cost.base_ms, 12);
    EXPECT_GT(fitted->decode_error, 0.1) << "a bad fit says so";
}

TEST(Calibration, SaysWhatIsMissing) {
    EXPECT_NE(calibrate("a,b\n1,2\n", {"f", "m", "h", 1}).error().detail.find("'model'"),
              std::string::npos);
    EXPECT_NE(
        calibrate(exact_rows(false), {"f", "nobody", "a100", 2}).error().detail.find("nobody"),
        std::string::npos);
}

TEST(Calibration, ReadsProfileNames) {
    const auto name = parse_profile_name("/a:b/c.csv:llama2-70b:a100-80gb:8");
    ASSERT_TRUE(name);
    EXPECT_EQ(name->file, "/a:b/c.csv");
    EXPECT_EQ(name->model, "llama2-70b");
    EXPECT_EQ(name->hardware, "a100-80gb");
    EXPECT_EQ(name->tensor_parallel, 8);
    EXPECT_FALSE(parse_profile_name("c.csv:m:h"));
    EXPECT_FALSE(parse_profile_name("c.csv:m:h:x"));
}

}  // namespace
}  // namespace millrace::vllm_sim
