#include "gateway/openai/error_body.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "gateway/openai/stream_filter.hpp"

namespace millrace::openai {
namespace {

using metrics::Dialect;

TEST(ErrorBody, HasAllFourKeysInOpenAiForm) {
    const Error error{Errc::model_not_found, Origin::downstream, "No model \"x\"\n."};
    EXPECT_EQ(
        error_body(Dialect::chat, error, "req_1"),
        R"({"error":{"message":"No model \"x\"\n.","type":"invalid_request_error","param":"model","code":"model_not_found"}})");
    const Error draining{Errc::draining, Origin::policy, "Bye."};
    EXPECT_EQ(
        error_body(Dialect::responses, draining, ""),
        R"({"error":{"message":"Bye.","type":"server_error","param":null,"code":"draining"}})");
}

TEST(ErrorBody, SpeaksAnthropicForMessages) {
    const Error error{Errc::server_overloaded, Origin::policy, "Full."};
    EXPECT_EQ(
        error_body(Dialect::messages, error, "req_1"),
        R"({"type":"error","error":{"type":"overloaded_error","message":"Full."},"request_id":"req_1"})");
}

TEST(ErrorBody, IsJsonForEveryErrcAndAnyDetail) {
    for (std::size_t i = 0; i < static_cast<std::size_t>(Errc::kErrcCount); ++i) {
        const Error error{static_cast<Errc>(i), Origin::internal, "q\"\\\x01\xFF"};
        for (const Dialect dialect : {Dialect::chat, Dialect::messages}) {
            EXPECT_FALSE(nlohmann::json::parse(error_body(dialect, error, "r\""), nullptr, false)
                             .is_discarded());
        }
    }
}

TEST(ErrorEvent, IsOneCompleteEventThatReadersTakeAsAnError) {
    const Error error{Errc::upstream_truncated, Origin::upstream,
                      "The backend closed\nthe connection."};
    for (const Dialect dialect :
         {Dialect::chat, Dialect::completions, Dialect::responses, Dialect::messages}) {
        for (const char* response_id : {"", "resp_1"}) {
            ErrorEvent event = event_for(dialect, error);
            event.retry_after_ms = 1500;
            event.request_id = "req_1";
            event.response_id = response_id;
            event.sequence_number = 12;
            std::string out;
            append_error_event(out, dialect, event);
            StreamFilter reader(dialect, ShowUsage::everything);
            std::vector<std::string_view> views;
            reader.feed(out, views);
            EXPECT_EQ(reader.facts().events, 1U) << out;
            ASSERT_TRUE(reader.facts().error) << out;
            EXPECT_EQ(reader.facts().error->message, error.detail) << out;
            EXPECT_FALSE(out.find("[DONE]") != std::string::npos);
            const auto json =
                nlohmann::json::parse(out.substr(out.find("data: ") + 6), nullptr, false);
            ASSERT_FALSE(json.is_discarded()) << out;
            EXPECT_TRUE(json.contains("error")) << "SDKs raise on this key";
            EXPECT_EQ(json["error"]["status"], 502);
            EXPECT_EQ(json["error"]["retry_after_ms"], 1500);
            EXPECT_EQ(json["error"]["code"], "upstream_truncated");
        }
    }
}

TEST(ErrorEvent, LooksAsEachDialectExpects) {
    const auto render = [](Dialect dialect, ErrorEvent event) {
        std::string out;
        append_error_event(out, dialect, event);
        return out;
    };
    ErrorEvent event;
    event.status = 503;
    event.type = "server_error";
    event.message = "m";
    EXPECT_EQ(render(Dialect::chat, event),
              "data: "
              "{\"error\":{\"message\":\"m\",\"type\":\"server_error\",\"param\":null,\"code\":"
              "null,\"status\":503}}\n\n");
    EXPECT_EQ(
        render(Dialect::messages, event),
        "event: error\ndata: "
        "{\"type\":\"error\",\"error\":{\"type\":\"server_error\",\"message\":\"m\",\"code\":null,"
        "\"status\":503},\"request_id\":null}\n\n");
    EXPECT_TRUE(
        render(Dialect::responses, event)
            .starts_with(
                "event: error\ndata: {\"type\":\"error\",\"sequence_number\":0,\"code\":null,"));
    event.response_id = "resp_1";
    EXPECT_TRUE(
        render(Dialect::responses, event)
            .starts_with("event: response.failed\ndata: "
                         "{\"type\":\"response.failed\",\"sequence_number\":0,\"response\":{\"id\":"
                         "\"resp_1\",\"object\":\"response\",\"status\":\"failed\""));
}

TEST(ErrorEvent, CarriesTheUpstreamsStatusTypeAndCode) {
    metrics::StreamError upstream;
    upstream.code = "slow_down";
    const ErrorEvent chat = event_for(Dialect::chat, 429, upstream);
    EXPECT_EQ(chat.status, 429U);
    EXPECT_EQ(chat.type, "invalid_request_error");
    EXPECT_EQ(chat.code, "slow_down");
    EXPECT_EQ(chat.message, "The backend answered with an error.");
    upstream.message = "Too fast for us, please wait.";
    EXPECT_EQ(event_for(Dialect::chat, 429, upstream).message, upstream.message);
    upstream.message.clear();
    EXPECT_FALSE(chat.message.empty());
    EXPECT_EQ(event_for(Dialect::messages, 529, upstream).type, "overloaded_error");
    upstream.type = "custom";
    EXPECT_EQ(event_for(Dialect::messages, 500, upstream).type, "custom");
}

}  // namespace
}  // namespace millrace::openai
