// Golden texts: the dialects must stay byte for byte what they are, because gateways cut spans out
// of them.
#include "bench/vllm_sim/dialect.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace millrace::vllm_sim {
namespace {

class Events final : public EventSink {
public:
    void event(std::string_view bytes) override { all.emplace_back(bytes); }
    std::vector<std::string> all;
};

Reply reply_of(Api api) {
    Reply reply;
    reply.api = api;
    reply.id = "x-1";
    reply.id_json = "\"x-1\"";
    reply.model_json = "\"m\"";
    reply.created = 5;
    reply.prompt_tokens = 10;
    reply.cached_tokens = 4;
    reply.tokens = 2;
    return reply;
}

std::vector<std::string> stream(Reply reply) {
    reply.stream = true;
    Events events;
    Texts texts;
    std::string scratch;
    const Dialect& dialect = dialect_of(reply.api);
    dialect.begin(reply, scratch, events);
    for (std::uint32_t i = 0; i < reply.tokens; ++i) {
        for (std::uint32_t choice = 0; choice < reply.choices; ++choice) {
            dialect.token(reply, texts, choice, i, scratch, events);
        }
    }
    dialect.end(reply, texts, scratch, events);
    return events.all;
}

std::string whole(const Reply& reply) {
    Texts texts;
    std::string body;
    dialect_of(reply.api).whole(reply, texts, body);
    return body;
}

/// Payload of the data line.
nlohmann::json data_of(const std::string& event) {
    const std::size_t at = event.find("data: ");
    return nlohmann::json::parse(event.substr(at + 6));
}

TEST(Dialect, ChatStreamWithoutUsageIsGolden) {
    const std::string head =
        R"(data: {"id":"x-1","object":"chat.completion.chunk","created":5,"model":"m","choices":[)";
    EXPECT_EQ(
        stream(reply_of(Api::chat)),
        (std::vector<std::string>{
            head +
                R"({"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"prompt_token_ids":null})"
                "\n\n",
            head +
                R"({"index":0,"delta":{"content":"duli0 "},"logprobs":null,"finish_reason":null,"token_ids":null}]})"
                "\n\n",
            head +
                R"({"index":0,"delta":{"content":"hole1 "},"logprobs":null,"finish_reason":"stop","stop_reason":null,"token_ids":null}]})"
                "\n\n",
            "data: [DONE]\n\n"}));
}

TEST(Dialect, ChatStreamPutsContinuousUsageIntoEveryChunkAndTotalsAtTheEnd) {
    Reply reply = reply_of(Api::chat);
    reply.choices = 2;
    reply.include_usage = reply.continuous_usage = true;
    reply.reasoning_tokens = 1;
    const auto events = stream(reply);
    ASSERT_EQ(events.size(), 2U + 4 + 2);
    EXPECT_EQ(
        data_of(events[0])["usage"],
        nlohmann::json::parse(R"({"prompt_tokens":10,"total_tokens":10,"completion_tokens":0})"));
    EXPECT_EQ(data_of(events[2])["choices"][0]["delta"]["reasoning"], "duli0 ");
    EXPECT_EQ(data_of(events[5])["usage"]["completion_tokens"], 2) << "per choice";
    EXPECT_EQ(
        events[6],
        R"(data: {"id":"x-1","object":"chat.completion.chunk","created":5,"model":"m","choices":[],"usage":)"
        R"({"prompt_tokens":10,"total_tokens":14,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":4},)"
        R"("completion_tokens_details":{"reasoning_tokens":2}}})"
        "\n\n");
}

TEST(Dialect, NullPlaceholdersStandOnlyWhereThereIsNoContinuousUsage) {
    Reply reply = reply_of(Api::completions);
    reply.include_usage = reply.null_usage = true;
    auto events = stream(reply);
    EXPECT_TRUE(data_of(events[0])["usage"].is_null());
    EXPECT_TRUE(data_of(events[0]).contains("usage"));
    reply.continuous_usage = true;
    events = stream(reply);
    EXPECT_EQ(data_of(events[0])["usage"]["completion_tokens"], 1);
}

TEST(Dialect, CompletionsStreamIsGolden) {
    const std::string head =
        R"(data: {"id":"x-1","object":"text_completion","created":5,"model":"m","choices":[)";
    Reply reply = reply_of(Api::completions);
    reply.tokens = 1;
    reply.length = true;
    EXPECT_EQ(
        stream(reply),
        (std::vector<std::string>{
            head +
                R"({"index":0,"text":"duli0 ","logprobs":null,"finish_reason":"length","stop_reason":null,"prompt_token_ids":null,"token_ids":null}]})"
                "\n\n",
            "data: [DONE]\n\n"}));
}

TEST(Dialect, SeveralPromptsShareThePromptTokens) {
    Reply reply = reply_of(Api::completions);
    reply.prompts = 3;
    reply.choices = 6;
    EXPECT_EQ(prompt_share(reply, 0), 4U);
    EXPECT_EQ(prompt_share(reply, 1), 4U) << "second choice of the first prompt";
    EXPECT_EQ(prompt_share(reply, 2), 3U);
    EXPECT_EQ(prompt_share(reply, 5), 3U);
}

TEST(Dialect, MessagesStreamIsGolden) {
    Reply reply = reply_of(Api::messages);
    reply.tokens = 1;
    EXPECT_EQ(
        stream(reply),
        (std::vector<std::string>{
            "event: message_start\n"
            R"(data: {"type":"message_start","message":{"id":"x-1","type":"message","role":"assistant","content":[],"model":"m","stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":10,"output_tokens":0}}})"
            "\n\n",
            "event: content_block_start\n"
            R"(data: {"type":"content_block_start","content_block":{"type":"text","text":""},"index":0})"
            "\n\n",
            "event: content_block_delta\n"
            R"(data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"duli0 "},"index":0})"
            "\n\n",
            "event: content_block_stop\n"
            R"(data: {"type":"content_block_stop","index":0})"
            "\n\n",
            "event: message_delta\n"
            R"(data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":10,"output_tokens":1}})"
            "\n\n",
            "event: message_stop\n"
            R"(data: {"type":"message_stop"})"
            "\n\n"}));
}

TEST(Dialect, ResponsesStreamNumbersItsEventsAndEndsWithTheWholeResponse) {
    for (const bool tool : {false, true}) {
        Reply reply = reply_of(Api::responses);
        reply.tool = tool ? "f" : "";
        const auto events = stream(reply);
        for (std::size_t i = 0; i < events.size(); ++i) {
            const auto data = data_of(events[i]);
            EXPECT_EQ(data["sequence_number"], i);
            EXPECT_TRUE(events[i].starts_with("event: " + data["type"].get<std::string>() + "\n"));
        }
        const auto last = data_of(events.back());
        EXPECT_EQ(last["type"], "response.completed");
        EXPECT_EQ(last["response"]["usage"]["output_tokens"], 2);
        EXPECT_EQ(last["response"]["usage"]["input_tokens_details"]["cached_tokens"], 4);
        EXPECT_EQ(last["response"], nlohmann::json::parse(whole(reply)));
    }
}

TEST(Dialect, ToolCallsConcatenateToValidArguments) {
    Reply reply = reply_of(Api::chat);
    reply.tool = "look\"up";
    std::string arguments;
    for (const std::string& event : stream(reply)) {
        if (!event.contains("tool_calls")) {
            continue;
        }
        const auto choice = data_of(event)["choices"][0];
        if (choice["delta"].contains("tool_calls")) {
            arguments +=
                choice["delta"]["tool_calls"][0]["function"]["arguments"].get<std::string>();
        }
    }
    EXPECT_EQ(nlohmann::json::parse(arguments)["text"], "duli0 hole1 ");
    const auto body = nlohmann::json::parse(whole(reply));
    const auto call = body["choices"][0]["message"]["tool_calls"][0];
    EXPECT_EQ(call["function"]["name"], "look\"up");
    EXPECT_EQ(call["function"]["arguments"], arguments);
    EXPECT_EQ(body["choices"][0]["finish_reason"], "tool_calls");
    reply.named_tool = true;
    EXPECT_EQ(nlohmann::json::parse(whole(reply))["choices"][0]["finish_reason"], "stop");
    reply.api = Api::messages;
    const auto message = nlohmann::json::parse(whole(reply));
    EXPECT_EQ(message["content"][0]["input"]["text"], "duli0 hole1 ");
    EXPECT_EQ(message["stop_reason"], "tool_use");
}

TEST(Dialect, WholeAndStreamCarryTheSameTextAndUsage) {
    Reply reply = reply_of(Api::chat);
    reply.include_usage = true;
    reply.tokens = 50;
    reply.text_bytes = 301;
    std::string text;
    nlohmann::json usage;
    for (const std::string& event : stream(reply)) {
        if (event.contains("[DONE]")) {
            continue;
        }
        const auto data = data_of(event);
        if (data["choices"].empty()) {
            usage = data["usage"];
        } else {
            text += data["choices"][0]["delta"]["content"].get<std::string>();
        }
    }
    const auto body = nlohmann::json::parse(whole(reply));
    EXPECT_EQ(text.size(), 301U);
    EXPECT_EQ(body["choices"][0]["message"]["content"], text);
    EXPECT_EQ(body["usage"], usage);
}

TEST(Dialect, ErrorsTakeTheFormOfThePath) {
    const ApiError error{404, "no \"x\"", "NotFoundError", "model"};
    std::string body;
    render_error(Api::chat, error, body);
    EXPECT_EQ(
        body,
        R"({"error":{"message":"no \"x\"","type":"NotFoundError","param":"model","code":404}})");
    body.clear();
    render_error(Api::messages, error, body);
    EXPECT_EQ(body, R"({"type":"error","error":{"type":"NotFoundError","message":"no \"x\""}})");
    Events events;
    std::string scratch;
    chat_dialect().error({500, "bad", "InternalServerError", {}}, scratch, events);
    EXPECT_EQ(
        events.all,
        (std::vector<std::string>{
            R"(data: {"error":{"message":"bad","type":"InternalServerError","param":null,"code":500}})"
            "\n\n",
            "data: [DONE]\n\n"}));
}

TEST(Dialect, OtherApisAnswerValidJson) {
    for (const Api api :
         {Api::embeddings, Api::rerank, Api::score, Api::classify, Api::pooling, Api::count_tokens,
          Api::transcriptions, Api::images, Api::tokenize, Api::detokenize}) {
        ApiRequest request;
        request.api = api;
        request.inputs = 3;
        std::string body;
        render_other(request, reply_of(api), body);
        const auto json = nlohmann::json::parse(body, nullptr, false);
        ASSERT_TRUE(json.is_object()) << body;
        if (api == Api::embeddings) {
            EXPECT_EQ(json["data"].size(), 3U);
            EXPECT_EQ(json["usage"]["prompt_tokens"], 10);
        } else if (api == Api::rerank) {
            EXPECT_EQ(json["results"].size(), 3U);
        } else if (api == Api::tokenize) {
            EXPECT_EQ(json["count"], json["tokens"].size());
        }
    }
}

}  // namespace
}  // namespace millrace::vllm_sim
