// Requests with `continue_final_message`, over sockets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/vllm_sim/tokens.hpp"
#include "tests/bench/vllm_sim/server_fixture.hpp"

namespace millrace::vllm_sim {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

constexpr std::string_view kPath = "/v1/chat/completions";

std::string text(std::uint32_t first, std::uint32_t count) {
    return std::string(TokenText(1).range(first, count));
}

/// A question, and what was answered to it so far.
json continued(const std::string& content, bool stream = true) {
    json body = {{"messages", json::array({{{"role", "user"}, {"content", "hello, what is up?"}}})},
                 {"stream", stream}};
    if (stream) {
        body["stream_options"] = {{"include_usage", true}, {"continuous_usage_stats", true}};
    }
    if (!content.empty()) {
        body["messages"].push_back({{"role", "assistant"}, {"content", content}});
        body["continue_final_message"] = true;
        body["add_generation_prompt"] = false;
    }
    return body;
}

struct Stream {
    std::string text;
    std::vector<std::string> roles;
    std::vector<std::string> finish_reasons;
    std::vector<json> usages;
    bool done = false;
};

Stream read(const std::string& body) {
    Stream stream;
    for (std::size_t at = 0; (at = body.find("data: ", at)) != std::string::npos;) {
        at += 6;
        const std::string data = body.substr(at, body.find("\n\n", at) - at);
        if (data == "[DONE]") {
            stream.done = true;
            break;
        }
        const json event = json::parse(data);
        if (event.contains("usage")) {
            stream.usages.push_back(event["usage"]);
        }
        for (const json& choice : event["choices"]) {
            stream.text += choice["delta"].value("content", "");
            if (choice["delta"].contains("role")) {
                stream.roles.push_back(choice["delta"]["role"]);
            }
            if (choice["finish_reason"].is_string()) {
                stream.finish_reasons.push_back(choice["finish_reason"]);
            }
        }
    }
    return stream;
}

Stream ask(const Simulator& sim, const json& body, std::string_view headers) {
    const auto response = sim.post(kPath, body.dump(), headers);
    EXPECT_EQ(response.status(), 200) << response.body;
    EXPECT_TRUE(response.complete);
    return read(response.body);
}

TEST(SimContinuation, StreamsOnlyWhatTheMessageLacksAndCountsItAsPrompt) {
    Simulator sim;
    const Stream whole = ask(sim, continued(""), "x-sim-tokens: 10\r\n");
    EXPECT_EQ(whole.text, text(0, 10));
    const std::uint32_t prompt = whole.usages.back()["prompt_tokens"];
    for (const std::uint32_t held : {1U, 4U, 9U}) {
        const Stream rest = ask(sim, continued(text(0, held)), "x-sim-tokens: 10\r\n");
        EXPECT_EQ(rest.text, text(held, 10 - held));
        EXPECT_EQ(rest.roles, std::vector<std::string>{"assistant"});
        EXPECT_EQ(rest.finish_reasons, std::vector<std::string>{"stop"});
        EXPECT_TRUE(rest.done);
        const json& usage = rest.usages.back();
        EXPECT_EQ(usage["prompt_tokens"], prompt + held);
        EXPECT_EQ(usage["completion_tokens"], 10 - held);
        EXPECT_EQ(rest.usages.front()["completion_tokens"], 0);
        EXPECT_EQ(rest.usages.front()["prompt_tokens"], prompt + held);
    }
    EXPECT_EQ(sim.get_json("/sim/stats")["continued"], 3);
    const auto log = sim.log();
    ASSERT_EQ(log.size(), 4U);
    EXPECT_FALSE(log[0].contains("continued_from"));
    EXPECT_EQ(log[2]["continued_from"], 4);
    EXPECT_EQ(log[2]["tokens_written"], 6);
}

TEST(SimContinuation, AnswersWholeAndFromTextParts) {
    const Simulator sim;
    json body = continued("x", false);
    body["messages"][1]["content"] = json::array(
        {{{"type", "text"}, {"text", text(0, 2)}}, {{"type", "text"}, {"text", text(2, 1)}}});
    const auto response = sim.post(kPath, body.dump(), "x-sim-tokens: 5\r\n");
    const json answer = json::parse(response.body);
    EXPECT_EQ(answer["choices"][0]["message"]["content"], text(3, 2));
    EXPECT_EQ(answer["usage"]["completion_tokens"], 2);
}

TEST(SimContinuation, LimitsBoundNewTokensAndControlsTheWholeText) {
    const Simulator sim;
    json body = continued(text(0, 4));
    body["max_tokens"] = 3;
    const Stream cut = ask(sim, body, "x-sim-tokens: 10\r\n");
    EXPECT_EQ(cut.text, text(4, 3));
    EXPECT_EQ(cut.finish_reasons, std::vector<std::string>{"length"});
    body["max_tokens"] = 6;
    const Stream enough = ask(sim, body, "x-sim-tokens: 10\r\nx-sim-prompt-tokens: 100\r\n");
    EXPECT_EQ(enough.text, text(4, 6));
    EXPECT_EQ(enough.finish_reasons, std::vector<std::string>{"stop"});
    EXPECT_EQ(enough.usages.back()["prompt_tokens"], 104);
    const Stream bytes = ask(sim, body, "x-sim-response-bytes: 40\r\n");
    EXPECT_EQ(text(0, 4) + bytes.text, text(0, 20).substr(0, 40));
}

TEST(SimContinuation, SaysThatItIsFinishedWhenNothingIsLeft) {
    const Simulator sim;
    for (const std::string_view pacing : {"", "x-sim-inter-token-ms: 1\r\n"}) {
        const Stream stream =
            ask(sim, continued(text(0, 5)), "x-sim-tokens: 5\r\n" + std::string(pacing));
        EXPECT_EQ(stream.text, "");
        EXPECT_EQ(stream.roles.size(), 1U);
        EXPECT_EQ(stream.finish_reasons, std::vector<std::string>{"stop"});
        EXPECT_EQ(stream.usages.back()["completion_tokens"], 0);
        EXPECT_TRUE(stream.done);
    }
    const auto whole = sim.post(kPath, continued(text(0, 5), false).dump(), "x-sim-tokens: 5\r\n");
    EXPECT_EQ(json::parse(whole.body)["choices"][0]["message"]["content"], "");
}

TEST(SimContinuation, AWrongPrefixIsSeenBecauseTheAnswerBeginsAnew) {
    const Simulator sim;
    EXPECT_EQ(ask(sim, continued(text(0, 3) + "du"), "x-sim-tokens: 5\r\n").text, text(0, 5));
    EXPECT_EQ(ask(sim, continued(text(0, 3)), "x-sim-tokens: 2\r\nx-sim-seed: 7\r\n").text,
              TokenText(7).range(0, 2));
}

TEST(SimContinuation, RefusesBothFlagsAndWhatAnOldEngineDoesNotKnow) {
    const Simulator sim;
    json body = continued(text(0, 3));
    for (const bool given : {true, false}) {
        body.erase("add_generation_prompt");
        if (given) {
            body["add_generation_prompt"] = true;
        }
        const auto refused = sim.post(kPath, body.dump());
        EXPECT_EQ(refused.status(), 400);
        const json error = json::parse(refused.body)["error"];
        EXPECT_EQ(error["type"], "BadRequestError");
        EXPECT_EQ(error["message"],
                  "Cannot set both `continue_final_message` and `add_generation_prompt` to True.");
    }
    body["continue_final_message"] = false;
    EXPECT_EQ(ask(sim, body, "x-sim-tokens: 2\r\n").text, text(0, 2)) << "a new turn";

    const char* const arguments[] = {"vllm-sim", "--no-continue"};
    const Simulator old(parse_command_line(2, arguments).options);
    const auto refused = old.post(kPath, continued(text(0, 3)).dump());
    EXPECT_EQ(refused.status(), 400);
    EXPECT_THAT(refused.body, HasSubstr("continue_final_message"));
    EXPECT_EQ(old.post(kPath, continued("").dump()).status(), 200);
}

TEST(SimContinuation, GoesOnInTheBatchModel) {
    Options options;
    options.batch = true;
    options.cost.base_ms = 1;
    const Simulator sim(options);
    EXPECT_EQ(ask(sim, continued(text(0, 3)), "x-sim-tokens: 5\r\n").text, text(3, 2));
    EXPECT_TRUE(ask(sim, continued(text(0, 5)), "x-sim-tokens: 5\r\n").done);
}

TEST(SimContinuation, DiesOnceAfterTokensAndTheNextRequestTakesItUp) {
    const Simulator sim;
    for (const std::string fault : {"die", "rst", "error-event"}) {
        sim.post("/sim/faults", R"({"fault":")" + fault + R"(@tokens=3","every":1,"count":1})");
        const auto broken = sim.post(kPath, continued("").dump(), "x-sim-tokens: 6\r\n");
        EXPECT_FALSE(broken.body.contains(token_at(1, 3))) << fault;
        EXPECT_EQ(ask(sim, continued(text(0, 3)), "x-sim-tokens: 6\r\n").text, text(3, 3)) << fault;
    }
}

}  // namespace
}  // namespace millrace::vllm_sim
