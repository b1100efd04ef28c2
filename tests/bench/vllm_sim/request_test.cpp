#include "bench/vllm_sim/request.hpp"

#include <gtest/gtest.h>

namespace millrace::vllm_sim {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

ApiRequest read(Api api, std::string_view body) {
    auto request = parse_request(api, body);
    EXPECT_TRUE(request) << (request ? "" : request.error().message);
    return request.value_or(ApiRequest{});
}

TEST(Request, KnowsThePathsOfItsApis) {
    EXPECT_EQ(api_of("/v1/chat/completions"), Api::chat);
    EXPECT_EQ(api_of("/v1/messages/count_tokens"), Api::count_tokens);
    EXPECT_EQ(api_of("/score"), Api::score);
    EXPECT_EQ(api_of("/v1/chat/completions/"), Api::none);
    EXPECT_TRUE(generates(Api::messages));
    EXPECT_FALSE(generates(Api::embeddings));
}

TEST(Request, ReadsTheFieldsThatChangeTheAnswer) {
    const auto request = read(
        Api::chat,
        R"({"model":"m","messages":[{"role":"user","content":"x"}],"stream":true,)"
        R"("stream_options":{"continuous_usage_stats":true},"max_completion_tokens":7,"n":2})");
    EXPECT_EQ(request.model, "m");
    EXPECT_EQ(request.prompt, R"([{"role":"user","content":"x"}])");
    EXPECT_TRUE(request.stream);
    EXPECT_TRUE(request.include_usage) << "vLLM's default when stream_options is there";
    EXPECT_TRUE(request.continuous_usage);
    EXPECT_EQ(request.max_tokens, 7U);
    EXPECT_EQ(request.n, 2U);
}

TEST(Request, ContinuousUsageNeedsIncludeUsage) {
    const auto request =
        read(Api::chat, R"({"messages":[],"stream":true,"stream_options":)"
                        R"({"include_usage":false,"continuous_usage_stats":true}})");
    EXPECT_FALSE(request.continuous_usage);
    EXPECT_TRUE(request.asks_continuous);
}

TEST(Request, ForcesAToolOnlyIfTheChoiceDoes) {
    const std::string tools = R"("tools":[{"type":"function","function":{"name":"first"}}])";
    const auto with = [&](std::string_view choice) {
        return read(Api::chat, R"({"messages":[],)" + tools + std::string(choice) + "}");
    };
    EXPECT_EQ(with("").tool, "");
    EXPECT_EQ(with(R"(,"tool_choice":"auto")").tool, "");
    EXPECT_EQ(with(R"(,"tool_choice":"required")").tool, "first");
    EXPECT_EQ(with(R"(,"tool_choice":{"type":"function","function":{"name":"other"}})").tool,
              "other");
    const auto anthropic =
        read(Api::messages, R"({"messages":[],"tools":[{"name":"a","input_schema":{}}],)"
                            R"("tool_choice":{"type":"any"}})");
    EXPECT_EQ(anthropic.tool, "a");
}

TEST(Request, CountsPromptsAndInputs) {
    EXPECT_EQ(read(Api::embeddings, R"({"input":["a","b","c"]})").inputs, 3U);
    EXPECT_EQ(read(Api::embeddings, R"({"input":[1,2,3]})").inputs, 1U)
        << "token ids are one input";
    EXPECT_EQ(read(Api::completions, R"({"prompt":"a"})").inputs, 1U);
    EXPECT_EQ(read(Api::completions, R"({"prompt":[[1,2],[3]]})").inputs, 2U);
}

TEST(Request, RefusesWhatVllmRefuses) {
    struct Case {
        Api api;
        std::string_view body;
        std::string_view param;
    };
    for (const Case& c : {Case{Api::chat, R"({"model":"m"})", "messages"},
                          Case{Api::chat, R"({"model":1,"messages":[]})", "model"},
                          Case{Api::chat, R"({"messages":[],"stream":"yes"})", "stream"},
                          Case{Api::chat, R"({"messages":[],"n":0})", "n"},
                          Case{Api::chat, R"({"messages":[],"max_tokens":-1})", "max_tokens"},
                          Case{Api::completions, R"({"prompt":"x")", ""}}) {
        const auto request = parse_request(c.api, c.body);
        ASSERT_FALSE(request) << c.body;
        EXPECT_EQ(request.error().status, 400);
        EXPECT_EQ(request.error().param, c.param);
    }
}

TEST(Request, TakesControlsFromHeadersAndBodyAndTheBodyWins) {
    Controls headers;
    EXPECT_EQ(read_controls(headers, {"X-Sim-Tokens", "5", 0}), "");
    EXPECT_EQ(read_controls(headers, {"x-sim-inter-token-ms", "2.5", 0}), "");
    EXPECT_EQ(read_controls(headers, {"x-other", "5", 0}), "");
    EXPECT_EQ(read_controls(headers, {"x-sim-tokens", "many", 0}), "x-sim-tokens");
    EXPECT_EQ(read_controls(headers, {"x-sim-nonsense", "1", 0}), "x-sim-nonsense");
    headers.tokens = 5;
    const auto request = parse_request(
        Api::chat, R"({"messages":[],"sim":{"tokens":9,"fault":"die@head","cached_tokens":3}})",
        headers);
    ASSERT_TRUE(request);
    EXPECT_EQ(request->controls.tokens, 9U);
    EXPECT_EQ(request->controls.inter_token, microseconds(2500));
    EXPECT_EQ(request->controls.fault, "die@head");
    EXPECT_EQ(request->controls.cached_tokens, 3U);
    EXPECT_FALSE(parse_request(Api::chat, R"({"messages":[],"sim":{"bogus":1}})"));
}

TEST(Request, FindsTheModelAnywhereInMultipart) {
    const std::string body =
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"name=\"\r\n\r\n"
        "binary name=\"model\" binary\r\n--b\r\nContent-Disposition: form-data; "
        "name=\"model\"\r\n\r\n"
        "whisper\r\n--b--\r\n";
    const auto request = parse_request(Api::transcriptions, body);
    ASSERT_TRUE(request);
    EXPECT_EQ(request->model, "whisper");
    EXPECT_FALSE(parse_request(Api::transcriptions, "--b--\r\n"));
}

}  // namespace
}  // namespace millrace::vllm_sim
