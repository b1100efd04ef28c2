// Every way of saying no: status, the body of the path's dialect, a sentence that names the limit,
// and what the official SDKs need to decide about a retry.
#include <gtest/gtest.h>

#include "tests/integration/rig.hpp"

namespace millrace::test {
namespace {

/// The shape every OpenAI error has.
void expect_openai_error(const Message& answer, int status, std::string_view code) {
    EXPECT_EQ(answer.status(), status) << answer.raw;
    const auto body = answer.json();
    ASSERT_TRUE(body.is_object() && body["error"].is_object()) << answer.raw;
    for (const auto* key : {"message", "type", "param", "code"}) {
        EXPECT_TRUE(body["error"].contains(key)) << key;
    }
    EXPECT_EQ(body["error"]["code"], code);
    EXPECT_EQ(answer.header("content-type"), "application/json");
    EXPECT_FALSE(answer.header("x-request-id").empty());
    EXPECT_EQ(answer.header("x-should-retry"), status >= 500 ? "true" : "false");
}

struct RefusalCase {
    const char* name;
    std::string bytes;
    int status;
    const char* code;
    const char* says;  ///< a part of the message
};

class Refusals : public testing::TestWithParam<RefusalCase> {};

TEST_P(Refusals, NameWhatIsWrongAndReachNoBackend) {
    static const Rig rig(
        ScriptedBackend::answering(well_behaved), {},
        {.document = "limits: {body: 1KiB, header_block: 2KiB, start_line: 256}\n"});
    const auto before = rig.backend.request_count();
    const auto answer = call(rig.gateway.port(), GetParam().bytes);
    expect_openai_error(answer, GetParam().status, GetParam().code);
    EXPECT_NE(answer.error_message().find(GetParam().says), std::string::npos)
        << answer.error_message();
    EXPECT_EQ(rig.backend.request_count(), before);
}

std::string chat_text(std::string_view body) {
    return post_text(kChat, body);
}

INSTANTIATE_TEST_SUITE_P(
    All, Refusals,
    testing::Values(
        RefusalCase{"UnknownPath", request("GET", "/v2/nothing"), 404, "path_not_found",
                    "/v2/nothing"},
        RefusalCase{"WrongMethod", request("GET", kChat), 405, "method_not_allowed", "POST"},
        RefusalCase{"UnknownModel", post(kChat, chat("nobody")), 404, "model_not_found", "nobody"},
        RefusalCase{"NoModel", chat_text("{\"messages\":[]}"), 400, "model_missing", "model"},
        RefusalCase{"NotJson", chat_text("{\"model\": \"m1\","), 400, "bad_json", ""},
        RefusalCase{"NotAnObject", chat_text("[1]"), 400, "bad_json", "object"},
        RefusalCase{"EmptyBody", request("POST", kChat, {{"Content-Length", "0"}}), 400, "bad_json",
                    ""},
        RefusalCase{"TrailingBytes", chat_text("{\"model\":\"m1\"} x"), 400, "bad_json", ""},
        RefusalCase{"ModelTwice", chat_text(R"({"model":"m1","model":"m2"})"), 400, "duplicate_key",
                    "model"},
        RefusalCase{"ModelTwiceEscaped", chat_text(R"({"model":"m1","mod\u0065l":"m2"})"), 400,
                    "duplicate_key", "model"},
        RefusalCase{"ModelIsNumber", chat_text(R"({"model":1})"), 400, "bad_field", "model"},
        RefusalCase{"StreamIsText", chat_text(R"({"model":"m1","stream":"yes"})"), 400, "bad_field",
                    "stream"},
        RefusalCase{"TooDeep",
                    chat_text("{\"model\":\"m1\",\"x\":" + std::string(100, '[') +
                              std::string(100, ']') + "}"),
                    400, "json_too_deep", "64"},
        RefusalCase{"BodyTooLarge",
                    chat_text(R"({"model":"m1","x":")" + std::string(2000, 'x') + "\"}"), 413,
                    "body_too_large", "1024"},
        RefusalCase{"HeadersTooLarge",
                    request("POST", kChat, {{"x-long", std::string(3000, 'h')}}, "{}"), 431,
                    "headers_too_large", "2048"},
        RefusalCase{"UriTooLong", request("GET", "/v1/" + std::string(400, 'u')), 414,
                    "uri_too_long", "256"},
        RefusalCase{"ContentEncoding", post(kChat, chat("m1"), {{"Content-Encoding", "gzip"}}), 415,
                    "unsupported_content_encoding", "gzip"},
        RefusalCase{
            "ContentType",
            request("POST", "/v1/audio/transcriptions", {{"Content-Type", "text/xml"}}, "{}"), 415,
            "unsupported_media_type", "multipart/form-data"},
        RefusalCase{"Expectation", post(kChat, chat("m1"), {{"Expect", "the-impossible"}}), 417,
                    "unsupported_expectation", "100-continue"},
        RefusalCase{"Underscore", request("GET", "/v1/models", {{"x_model_id", "m1"}}), 400,
                    "bad_header", "x_model_id"},
        RefusalCase{"DuplicateHeader",
                    post(kChat, chat("m1"), {{"x-model-id", "m1"}, {"x-model-id", "m1"}}), 400,
                    "duplicate_header", "x-model-id"},
        RefusalCase{"UnknownResponse", request("GET", "/v1/responses/resp_unknown"), 404,
                    "response_not_found", "resp_unknown"}),
    [](const auto& info) { return info.param.name; });

TEST(Errors, SpeakAnthropicOnTheMessagesPath) {
    const Rig rig;
    const auto answer = call(rig.gateway.port(), post("/v1/messages", chat("nobody")));
    EXPECT_EQ(answer.status(), 404);
    const auto body = answer.json();
    EXPECT_EQ(body["type"], "error");
    EXPECT_EQ(body["error"]["type"], "not_found_error");
    EXPECT_TRUE(body["error"]["message"].is_string());
    EXPECT_EQ(body["request_id"], answer.header("x-request-id"));
}

TEST(Errors, SayTooLargeBeforeTheBodyIsSent) {
    const Rig rig(ScriptedBackend::answering(well_behaved), {},
                  {.document = "limits: {body: 1KiB}\n"});
    RawClient client(rig.gateway.port());
    client.send(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        "Expect: 100-continue\r\nContent-Length: 34603008\r\n\r\n");
    const auto answer = client.read_response();
    ASSERT_TRUE(answer);
    expect_openai_error(*answer, 413, "body_too_large");
    EXPECT_TRUE(client.closed_by_peer());
}

TEST(Errors, CountAChunkedBodyAgainstTheSameLimit) {
    const Rig rig(ScriptedBackend::answering(well_behaved), {},
                  {.document = "limits: {body: 1KiB}\n"});
    RawClient client(rig.gateway.port());
    client.send(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        "Transfer-Encoding: chunked\r\n\r\n" +
        chunk("{\"model\":\"m1\",\"x\":\"" + std::string(2000, 'x')));
    const auto answer = client.read_response();
    ASSERT_TRUE(answer);
    expect_openai_error(*answer, 413, "body_too_large");
}

TEST(Errors, TellABusyGatewayApartFromACallersLimit) {
    const Rig rig(ScriptedBackend::answering(well_behaved), {},
                  {.document = "limits: {body: 64KiB, buffered_bytes: 80KiB}\n"});
    // One upload holds most of the budget and does not go on.
    RawClient slow(rig.gateway.port());
    slow.send(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        "Content-Length: 60000\r\n\r\n{\"model\":\"m1\",");
    ASSERT_TRUE(
        eventually([&] { return rig.gateway.metrics().sum("millrace_buffered_bytes") >= 60'000; }));
    const auto answer = rig.chat_call(chat("m1", false, std::string(40'000, 'x')));
    expect_openai_error(answer, 503, "server_overloaded");
    EXPECT_FALSE(answer.header("retry-after").empty());
    slow.reset();
    // It recovers by itself.
    EXPECT_TRUE(eventually([&] {
        return rig.chat_call(chat("m1", false, std::string(40'000, 'x'))).status() == 200;
    }));
}

TEST(Errors, SayWhenNoEndpointCanBeReached) {
    const auto nobody = std::to_string(free_port());
    const GatewayProcess gateway({.document = one_model("http://" + loopback() + ':' + nobody)});
    const auto answer = call(gateway.port(), post(kChat, chat("m1")));
    EXPECT_TRUE(answer.status() == 502 || answer.status() == 503) << answer.raw;
    EXPECT_EQ(answer.header("x-should-retry"), "true");
    EXPECT_EQ(answer.error_message().find(nobody), std::string::npos)
        << "addresses of backends are not the client's business";
}

TEST(Errors, AnswerAnEndpointThatIsDrainedWith503AndARetryAfter) {
    const Rig rig(ScriptedBackend::answering(well_behaved), "queue: {timeout: 100ms, hold: 200ms}");
    ASSERT_EQ(
        rig.gateway.admin("POST", "/drain?backend=m1-pool&endpoint=" + rig.backend.url()).status(),
        200);
    const auto answer = rig.chat_call(chat("m1"));
    EXPECT_EQ(answer.status(), 503);
    EXPECT_FALSE(answer.header("retry-after").empty());
    EXPECT_EQ(answer.header("x-millrace-reason"), "starting");
}

TEST(Errors, RelayABackendsOwnErrorUnchanged) {
    const nlohmann::json theirs = {
        {"error",
         {{"message", "max_tokens is too large"}, {"type", "BadRequestError"}, {"code", 400}}}};
    const Rig rig(ScriptedBackend::always(json_response(theirs, 400)));
    const auto answer = rig.chat_call(chat("m1"));
    EXPECT_EQ(answer.status(), 400);
    EXPECT_EQ(answer.json(), theirs);
}

TEST(Errors, TurnAnErrorInTheFirstEventIntoARealStatus) {
    const Rig rig(ScriptedBackend::always(
        stream_head() +
        chunk(event(
            {{"error",
              {{"message", "out of memory"}, {"type", "InternalServerError"}, {"code", 500}}}})) +
        chunk("data: [DONE]\n\n") + std::string(kLastChunk)));
    const auto answer = rig.chat_call(chat("m1", true));
    EXPECT_GE(answer.status(), 500) << answer.raw;
    EXPECT_TRUE(answer.json().contains("error")) << answer.raw;
}

}  // namespace
}  // namespace millrace::test
