#include "bench/vllm_sim/server.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>

#include "bench/vllm_sim/tokens.hpp"
#include "tests/bench/vllm_sim/server_fixture.hpp"

namespace millrace::vllm_sim {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

std::string expected_text(std::uint64_t seed, std::uint32_t tokens) {
    std::string text;
    for (std::uint32_t i = 0; i < tokens; ++i) {
        text += token_at(seed, i);
    }
    return text;
}

TEST(SimServer, AnswersChatWithTheRequestsIdAndDeterministicText) {
    const Simulator sim;
    const auto response =
        sim.post("/v1/chat/completions", kChat, "x-request-id: abc\r\nx-sim-tokens: 4\r\n");
    EXPECT_EQ(response.status(), 200);
    EXPECT_TRUE(response.complete);
    const json body = json::parse(response.body);
    EXPECT_EQ(body["id"], "chatcmpl-abc");
    EXPECT_EQ(body["choices"][0]["message"]["content"], expected_text(1, 4));
    EXPECT_EQ(body["usage"]["completion_tokens"], 4);
}

TEST(SimServer, KeepsConnectionsAndAnswersPipelinedRequestsInOrder) {
    const Simulator sim;
    RawClient client(sim.port());
    std::string bytes;
    for (int i = 0; i < 50; ++i) {
        bytes += "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-request-id: r" +
                 std::to_string(i) + "\r\ncontent-length: " + std::to_string(kChat.size()) +
                 "\r\n\r\n" + std::string(kChat);
    }
    client.send(bytes);
    for (int i = 0; i < 50; ++i) {
        EXPECT_EQ(json::parse(client.response().body)["id"], "chatcmpl-r" + std::to_string(i));
    }
}

TEST(SimServer, ReadsRequestsByteByByteAndInChunks) {
    const Simulator sim;
    RawClient client(sim.port());
    const std::string chunked =
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
        "5\r\n{\"mes\r\n0e\r\nsages\":[\"abc\"]\r\n1\r\n}\r\n0\r\n\r\n";
    for (const char c : chunked) {
        client.send(std::string_view(&c, 1));
    }
    EXPECT_EQ(client.response().status(), 200);
    client.post("/v1/chat/completions", kChat);
    EXPECT_EQ(client.response().status(), 200) << "the connection is still good";
}

TEST(SimServer, ReadsLargeBodiesThatArriveInPieces) {
    const Simulator sim;
    const std::string body = R"({"model":"sim","messages":[{"role":"user","content":")" +
                             std::string(700'000, 'x') + "\"}]}";
    const auto response = sim.post("/v1/chat/completions", body);
    ASSERT_EQ(response.status(), 200);
    EXPECT_GT(json::parse(response.body)["usage"]["prompt_tokens"], 175'000);
}

TEST(SimServer, SendsContinueWhenAskedTo) {
    const Simulator sim;
    RawClient client(sim.port());
    client.send(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nexpect: "
        "100-continue\r\ncontent-length: " +
        std::to_string(kChat.size()) + "\r\n\r\n");
    while (!client.buffered().contains("100 Continue\r\n\r\n") && client.receive()) {
    }
    EXPECT_EQ(client.buffered(), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send(kChat);
    EXPECT_THAT(client.response().head, HasSubstr("100 Continue"));
    EXPECT_EQ(client.response().status(), 200);
}

TEST(SimServer, RefusesBrokenHttpAndClosesTheConnection) {
    const Simulator sim;
    RawClient client(sim.port());
    client.send("GET / HTTP/1.1\r\nbad header\r\n\r\n");
    EXPECT_THAT(client.rest(), HasSubstr("400 Bad Request"));
    EXPECT_TRUE(client.ended());
}

TEST(SimServer, StreamsInChunksThatAnHttpOneZeroClientDoesNotGet) {
    const Simulator sim;
    const auto stream = sim.post("/v1/chat/completions", kChatStream);
    EXPECT_THAT(stream.head, HasSubstr("text/event-stream"));
    EXPECT_TRUE(stream.complete);
    EXPECT_TRUE(stream.body.ends_with("data: [DONE]\n\n"));
    RawClient old(sim.port());
    old.send("POST /v1/chat/completions HTTP/1.0\r\nhost: x\r\ncontent-length: " +
             std::to_string(kChatStream.size()) + "\r\n\r\n" + std::string(kChatStream));
    const auto response = old.response();
    EXPECT_TRUE(response.complete);
    EXPECT_FALSE(response.head.contains("chunked"));
    EXPECT_TRUE(response.body.ends_with("data: [DONE]\n\n"));
}

TEST(SimServer, UsageFollowsWhatTheRequestAndTheServerSay) {
    struct Case {
        std::string_view options;
        bool force;
        std::size_t with_usage;
    };
    constexpr std::size_t kTokens = 3;
    for (const Case& c :
         {Case{"", false, 0}, Case{R"(,"stream_options":{"include_usage":true})", false, 1},
          Case{R"(,"stream_options":{"include_usage":true,"continuous_usage_stats":true})", false,
               1 + kTokens + 1},
          Case{"", true, 1 + kTokens + 1}}) {
        Options options;
        options.force_include_usage = c.force;
        options.tokens = kTokens;
        const Simulator sim(options);
        const auto stream = sim.post("/v1/chat/completions", R"({"messages":[],"stream":true)" +
                                                                 std::string(c.options) + "}");
        std::size_t found = 0;
        for (std::size_t at = 0; (at = stream.body.find("\"usage\":{", at)) != std::string::npos;
             ++at) {
            ++found;
        }
        EXPECT_EQ(found, c.with_usage) << c.options << c.force;
    }
}

TEST(SimServer, RefusesUsageFieldsAsAskedToAndNamesThem) {
    Options options;
    options.refuse_continuous_usage = true;
    const Simulator sim(options);
    const auto refused = sim.post("/v1/chat/completions", kChatStream);
    EXPECT_EQ(refused.status(), 400);
    EXPECT_THAT(refused.body, HasSubstr("continuous_usage_stats"));
    const auto plain = R"({"messages":[],"stream":true,"stream_options":{"include_usage":true}})";
    EXPECT_EQ(sim.post("/v1/chat/completions", plain).status(), 200);
    const auto fault = sim.post("/v1/chat/completions", plain, "x-sim-fault: refuse-usage\r\n");
    EXPECT_EQ(fault.status(), 400);
    EXPECT_THAT(fault.body, HasSubstr("'stream_options'"));
    EXPECT_EQ(sim.post("/v1/chat/completions", R"({"messages":[],"stream_options":{}})").status(),
              400)
        << "stream_options without stream";
}

TEST(SimServer, ServesItsModelsOnly) {
    Options options;
    options.models = {"a", "b/c"};
    const Simulator sim(options);
    EXPECT_EQ(sim.post("/v1/embeddings", R"({"model":"b/c","input":"x"})").status(), 200);
    const auto unknown = sim.post("/v1/chat/completions", R"({"model":"x","messages":[]})");
    EXPECT_EQ(unknown.status(), 404);
    EXPECT_EQ(json::parse(unknown.body)["error"]["code"], 404);
    EXPECT_EQ(json::parse(unknown.body)["error"]["param"], "model");
    EXPECT_EQ(sim.get_json("/v1/models")["data"][1]["id"], "b/c");
    options.any_model = true;
    const Simulator any(options);
    EXPECT_EQ(any.post("/v1/chat/completions", R"({"model":"x","messages":[]})").status(), 200);
}

TEST(SimServer, AnswersEveryApiOfItsSurface) {
    const Simulator sim;
    for (const auto& [path, body] : std::vector<std::pair<std::string, std::string>>{
             {"/v1/completions", R"({"prompt":"x"})"},
             {"/v1/responses", R"({"input":"x"})"},
             {"/v1/messages", R"({"messages":[],"max_tokens":3})"},
             {"/v1/messages/count_tokens", R"({"messages":[]})"},
             {"/v1/rerank", R"({"query":"q","documents":["a","b"]})"},
             {"/v1/score", R"({"text_1":"q","text_2":["a","b"]})"},
             {"/v1/classify", R"({"input":"x"})"},
             {"/v1/pooling", R"({"input":"x"})"},
             {"/v1/images/generations", R"({"prompt":"x"})"},
             {"/tokenize", R"({"prompt":"x"})"},
             {"/detokenize", R"({"tokens":[1]})"}}) {
        const auto response = sim.post(path, body);
        EXPECT_EQ(response.status(), 200) << path << response.body;
        EXPECT_TRUE(json::parse(response.body, nullptr, false).is_object()) << path;
    }
    EXPECT_EQ(sim.get("/v1/chat/completions").status(), 405);
    EXPECT_EQ(sim.get("/nothing").status(), 404);
    EXPECT_EQ(sim.get("/health").body, "");
    EXPECT_EQ(sim.get_json("/version")["version"], "0.11.0");
    EXPECT_THAT(sim.get("/metrics").body, HasSubstr("vllm:num_requests_running"));
}

TEST(SimServer, KeepsResponsesUntilTheyAreDeleted) {
    const Simulator sim;
    const json made =
        json::parse(sim.post("/v1/responses", R"({"input":"x"})", "x-request-id: r1\r\n").body);
    EXPECT_EQ(made["id"], "resp_r1");
    EXPECT_EQ(sim.get_json("/v1/responses/resp_r1"), made);
    EXPECT_EQ(sim.get_json("/v1/responses/resp_r1/input_items")["data"][0]["content"], "x");
    EXPECT_EQ(
        sim.post("/v1/responses", R"({"input":"x","previous_response_id":"resp_r1"})").status(),
        200);
    EXPECT_EQ(
        sim.post("/v1/responses", R"({"input":"x","previous_response_id":"resp_r2"})").status(),
        404);
    EXPECT_EQ(sim.post("/v1/responses/resp_r1/cancel", "").status(), 400)
        << "not in the background";
    EXPECT_EQ(json::parse(sim.get("/v1/responses/resp_r1", "DELETE").body)["deleted"], true);
    EXPECT_EQ(sim.get("/v1/responses/resp_r1").status(), 404);
    sim.post("/v1/responses", R"({"input":"x","store":false})", "x-request-id: r3\r\n");
    EXPECT_EQ(sim.get("/v1/responses/resp_r3").status(), 404);
}

TEST(SimServer, RunsBackgroundResponsesAndCancelsThem) {
    const Simulator sim;
    const auto start = [&](std::string_view id, std::string_view ms) {
        const auto response = sim.post(
            "/v1/responses", R"({"input":"x","background":true})",
            "x-request-id: " + std::string(id) + "\r\nx-sim-ttft-ms: " + std::string(ms) + "\r\n");
        EXPECT_EQ(json::parse(response.body)["status"], "queued");
    };
    start("slow", "60000");
    start("quick", "0");
    EXPECT_EQ(sim.get_json("/v1/responses/resp_slow")["status"], "in_progress");
    EXPECT_EQ(sim.get_json("/v1/responses/resp_quick")["status"], "completed");
    EXPECT_EQ(json::parse(sim.post("/v1/responses/resp_slow/cancel", "").body)["status"],
              "cancelled");
    EXPECT_EQ(sim.get_json("/v1/responses/resp_slow")["status"], "cancelled");
}

TEST(SimServer, SleepsAndFallsIllOnRequest) {
    const Simulator sim;
    EXPECT_EQ(sim.get_json("/is_sleeping")["is_sleeping"], false);
    EXPECT_EQ(sim.post("/sleep?level=2", "").status(), 200);
    EXPECT_EQ(sim.get_json("/is_sleeping")["is_sleeping"], true);
    EXPECT_THAT(sim.get("/metrics").body, HasSubstr("sleep_state=\"discard_all\"} 1"));
    EXPECT_EQ(sim.post("/v1/chat/completions", kChat).status(), 503);
    EXPECT_EQ(sim.post("/wake_up", "").status(), 200);
    EXPECT_EQ(sim.post("/v1/chat/completions", kChat).status(), 200);
    sim.post("/sim/faults", R"({"healthy":false})");
    EXPECT_EQ(sim.get("/health").status(), 503);
}

TEST(SimServer, PacesTokensByTheRequestsOwnTimes) {
    const Simulator sim;
    const auto start = std::chrono::steady_clock::now();
    const auto stream =
        sim.post("/v1/chat/completions", kChatStream,
                 "x-sim-tokens: 5\r\nx-sim-ttft-ms: 30\r\nx-sim-inter-token-ms: 10\r\n");
    const auto took = std::chrono::steady_clock::now() - start;
    EXPECT_TRUE(stream.complete);
    EXPECT_GE(took, std::chrono::milliseconds(70))
        << "30 to the first token, 4 times 10 to the last";
    const auto whole_start = std::chrono::steady_clock::now();
    sim.post("/v1/chat/completions", kChat, "x-sim-tokens: 5\r\nx-sim-inter-token-ms: 10\r\n");
    EXPECT_GE(std::chrono::steady_clock::now() - whole_start, std::chrono::milliseconds(40));
}

TEST(SimServer, BatchesUnderTheModelAndReportsWaitingAndCachedTokens) {
    Options options;
    options.batch = true;
    options.limits.max_num_seqs = 1;
    options.cost.base_ms = 1;
    options.prefix_cache_blocks = 100;
    const Simulator sim(options);
    const std::string body =
        R"({"messages":[{"role":"user","content":")" + std::string(400, 'x') + "\"}]}";
    RawClient first(sim.port());
    first.post("/v1/chat/completions", body, "x-sim-tokens: 300\r\n");
    RawClient second(sim.port());
    second.post("/v1/chat/completions", body, "x-sim-tokens: 300\r\n");
    EXPECT_TRUE(sim.until("/sim/live", [](const json& live) { return live["count"] == 2; }));
    EXPECT_THAT(sim.get("/metrics").body,
                HasSubstr("vllm:num_requests_waiting{engine=\"0\",model_name=\"sim\"} 1\n"));
    EXPECT_EQ(json::parse(first.response().body)["usage"]["prompt_tokens_details"]["cached_tokens"],
              0);
    EXPECT_EQ(
        json::parse(second.response().body)["usage"]["prompt_tokens_details"]["cached_tokens"], 96);
    EXPECT_EQ(sim.get_json("/sim/live")["count"], 0);
    EXPECT_EQ(sim.post("/v1/chat/completions", body, "x-sim-tokens: 900000\r\n").status(), 400)
        << "never fits into the KV cache";
}

TEST(SimServer, NoticesAtOnceThatTheClientLeft) {
    Simulator sim;
    {
        RawClient client(sim.port());
        client.post("/v1/chat/completions", kChatStream,
                    "x-request-id: gone\r\nx-sim-tokens: 100000\r\nx-sim-inter-token-ms: 1\r\n");
        while (!client.buffered().contains(token_at(1, 4)) && client.receive()) {
        }
        EXPECT_EQ(sim.get_json("/sim/live")["ids"], json::array({"gone"}));
    }
    const auto left = std::chrono::steady_clock::now();
    EXPECT_TRUE(sim.until("/sim/live", [](const json& live) { return live["count"] == 0; }));
    EXPECT_LT(std::chrono::steady_clock::now() - left, std::chrono::seconds(1));
    EXPECT_EQ(sim.get_json("/sim/stats")["aborted"], 1);
    const auto log = sim.log();
    ASSERT_EQ(log.size(), 1U);
    EXPECT_EQ(log[0]["end"], "aborted_by_client");
    EXPECT_GE(log[0]["tokens"], 5);
    EXPECT_LT(log[0]["tokens"], 100000);
}

TEST(SimServer, NoticesThatTheClientLeftWhileThereIsNothingToWrite) {
    const auto none_live = [](const json& live) { return live["count"] == 0; };
    for (const bool half : {false, true}) {
        const Simulator sim;
        RawClient client(sim.port());
        client.post("/v1/chat/completions", kChat, "x-sim-ttft-ms: 600000\r\n");
        ASSERT_TRUE(sim.until("/sim/live", [](const json& live) { return live["count"] == 1; }));
        half ? client.half_close() : client.close();
        EXPECT_TRUE(sim.until("/sim/live", none_live)) << "half closed: " << half;
        EXPECT_EQ(sim.get_json("/sim/stats")["aborted"], 1);
    }
}

TEST(SimServer, StopsWritingToAClientThatDoesNotReadAndGoesOnLater) {
    const Simulator sim;
    RawClient client(sim.port());
    client.post("/v1/chat/completions", kChatStream,
                "x-sim-tokens: 60000\r\n");  // about 20 MB of events
    EXPECT_TRUE(sim.until("/sim/live", [](const json& live) { return live["count"] == 1; }));
    const auto response = client.response();
    EXPECT_TRUE(response.complete);
    EXPECT_THAT(response.body, HasSubstr(token_at(1, 59999)));
    EXPECT_TRUE(sim.until("/sim/live", [](const json& live) { return live["count"] == 0; }));
}

TEST(SimServer, DrainsOnStopIfItMayAndElseEndsAtOnce) {
    for (const bool drain : {false, true}) {
        Options options;
        options.shutdown_timeout = drain ? 30 : 0;
        Simulator sim(options);
        RawClient client(sim.port());
        client.post("/v1/chat/completions", kChatStream,
                    "x-sim-tokens: 60\r\nx-sim-inter-token-ms: 2\r\n");
        while (!client.buffered().contains("[{\"index\":0,\"delta\":{\"content\"") &&
               client.receive()) {
        }
        const auto log = sim.log();
        const auto response = client.response();
        EXPECT_EQ(response.complete, drain);
        ASSERT_EQ(log.size(), 1U);
        EXPECT_EQ(log[0]["end"], drain ? "completed" : "shutdown");
    }
}

TEST(SimServer, SpreadsConnectionsOverItsLoops) {
    Options options;
    options.threads = 3;
    const Simulator sim(options);
    std::vector<std::unique_ptr<RawClient>> clients;
    for (int i = 0; i < 30; ++i) {
        clients.push_back(std::make_unique<RawClient>(sim.port()));
        clients.back()->post("/v1/chat/completions", kChat);
    }
    for (const auto& client : clients) {
        EXPECT_EQ(client->response().status(), 200);
    }
    EXPECT_EQ(sim.get_json("/sim/stats")["completed"], 30);
}

}  // namespace
}  // namespace millrace::vllm_sim
