// Every limit on time, each made small, each seen from outside with its own name.
#include <gtest/gtest.h>

#include "tests/integration/rig.hpp"

namespace millrace::test {
namespace {

/// A backend that does `start` for a request and then says nothing until the gateway leaves.
ScriptedBackend::Script silent_after(std::string start) {
    return [start = std::move(start)](BackendConnection& connection) {
        if (connection.read_request()) {
            connection.send(start);
            connection.wait_until_gone();
        }
    };
}

struct UpstreamCase {
    const char* name;
    const char* timeouts;
    bool stream;
    std::string start;
    const char* code;   ///< of the answer or the error event
    bool after_commit;  ///< the client gets 200 and an error event
};

class UpstreamTimeout : public testing::TestWithParam<UpstreamCase> {};

TEST_P(UpstreamTimeout, EndsTheRequestWithItsNameAndFreesTheBackend) {
    const auto& param = GetParam();
    const Rig rig(silent_after(param.start), "timeouts: {" + std::string(param.timeouts) + "}");
    const auto started = std::chrono::steady_clock::now();
    const auto answer = rig.chat_call(chat("m1", param.stream));
    EXPECT_GE(since(started), 300ms);
    EXPECT_LE(since(started), 3s * kSlowdown);
    if (param.after_commit) {
        EXPECT_EQ(answer.status(), 200);
        EXPECT_FALSE(answer.complete);
        const auto verdict = judge_stream(answer.body);
        EXPECT_EQ(verdict.error_code, param.code) << answer.body;
        EXPECT_FALSE(verdict.done);
    } else {
        EXPECT_EQ(answer.status(), 504) << answer.raw;
        EXPECT_EQ(answer.error_code(), param.code);
        EXPECT_NE(answer.error_message().find("400 ms"), std::string::npos)
            << "the limit is not named: " << answer.error_message();
    }
    EXPECT_TRUE(eventually([&] { return rig.backend.gone_count() == 1; }));
    const auto line = rig.gateway.access_line(answer.header("x-request-id"));
    EXPECT_EQ(line.value("outcome", ""), "timeout");
    EXPECT_EQ(line.value("error", ""), param.code);
    EXPECT_TRUE(rig.gateway.quiet());
}

std::vector<UpstreamCase> upstream_cases() {
    const StreamStart start;
    return {{"FirstByte", "first_byte: 400ms", false, "", "first_byte_timeout", false},
            {"FirstByteOfStream", "first_byte: 400ms", true, "", "first_byte_timeout", false},
            {"FirstTokenBeforeAnyEvent", "first_token: 400ms", true, start.head,
             "first_token_timeout", false},
            {"FirstTokenAfterTheRole", "first_token: 400ms", true, start.role,
             "first_token_timeout", true},
            {"IdleInAStream", "idle: 400ms", true, start.token, "idle_timeout", true},
            {"Total", "total: 400ms", true, start.token, "total_timeout", true},
            {"TotalBeforeTheHead", "total: 400ms", false, "", "total_timeout", false}};
}

INSTANTIATE_TEST_SUITE_P(All, UpstreamTimeout, testing::ValuesIn(upstream_cases()),
                         [](const auto& info) { return info.param.name; });

TEST(Timeouts, ConnectIsItsOwn) {
    const NeverAccepting backend;
    const GatewayProcess gateway(
        {.document = one_model(backend.url(), "timeouts: {connect: 400ms}")});
    const auto started = std::chrono::steady_clock::now();
    const auto answer = call(gateway.port(), post(kChat, chat("m1")));
    EXPECT_LE(since(started), 5s);
    EXPECT_EQ(answer.status(), 504) << answer.raw;
    EXPECT_EQ(answer.error_code(), "upstream_connect_timeout");
}

TEST(Timeouts, AStreamThatKeepsTalkingIsNotIdle) {
    const Rig rig(
        [](BackendConnection& connection) {
            if (!connection.read_request()) {
                return;
            }
            connection.send(stream_head());
            for (int i = 0; i < 10; ++i) {
                connection.send(chunk(event(chat_chunk("t" + std::to_string(i) + ' '))));
                connection.wait_for("never", 100ms);
            }
            connection.send(chunk("data: [DONE]\n\n") + std::string(kLastChunk));
            connection.wait_until_gone();
        },
        "timeouts: {idle: 400ms, first_token: 400ms, first_byte: 400ms}");
    const auto verdict = judge_stream(rig.chat_call(chat("m1", true)).body);
    EXPECT_TRUE(verdict.done);
    EXPECT_FALSE(verdict.error);
}

TEST(Timeouts, ACommentIsNotAFirstToken) {
    const Rig rig(
        [](BackendConnection& connection) {
            if (!connection.read_request()) {
                return;
            }
            connection.send(stream_head());
            while (connection.send(chunk(": keep-alive\n\n"))) {
                if (connection.wait_until_gone(100ms)) {
                    return;
                }
            }
        },
        "timeouts: {first_token: 500ms, idle: 10s}");
    const auto answer = rig.chat_call(chat("m1", true));
    const auto code =
        answer.status() == 504 ? answer.error_code() : judge_stream(answer.body).error_code;
    EXPECT_EQ(code, "first_token_timeout");
}

TEST(Timeouts, OfARouteRuleCountForItsRequests) {
    const ScriptedBackend backend(silent_after(""));
    auto options = forward_everything(backend.url());
    auto& manifest = options.files.front().second;
    manifest.insert(manifest.find("      backendRefs"), "      timeouts: {request: 400ms}\n");
    const GatewayProcess gateway(options);
    EXPECT_EQ(get(gateway.port(), "/anything").status(), 504);
}

TEST(ClientTimeouts, EndAHeadThatDoesNotArrive) {
    const Rig rig(ScriptedBackend::answering(well_behaved), {},
                  {.document = "client_timeouts: {header: 400ms}\n"});
    RawClient client(rig.gateway.port());
    client.send("POST /v1/chat/completions HTTP/1.1\r\nHost:");
    const auto started = std::chrono::steady_clock::now();
    const auto answer = client.read_response();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status(), 408);
    EXPECT_LE(since(started), 3s * kSlowdown);
    EXPECT_TRUE(client.closed_by_peer());
}

TEST(ClientTimeouts, EndAHeadThatDripsInSlowly) {
    const Rig rig(ScriptedBackend::answering(well_behaved), {},
                  {.document = "client_timeouts: {header: 500ms}\n"});
    RawClient client(rig.gateway.port());
    const std::string head = "GET /v1/models HTTP/1.1\r\nHost: x\r\nx-drip: ";
    client.send(head);
    std::optional<Message> answer;
    for (int i = 0; i < 40 && !answer; ++i) {  // each byte is in time, the head is not
        client.send("d");
        answer = client.read_response(100ms);
    }
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status(), 408);
}

TEST(ClientTimeouts, EndABodySlowerThanTheRate) {
    const Rig rig(ScriptedBackend::answering(well_behaved), {},
                  {.document = "client_timeouts: {body_grace: 300ms, body_rate: 10KiB}\n"});
    RawClient client(rig.gateway.port());
    client.send(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        "Content-Length: 100000\r\n\r\n{\"model\":");
    std::optional<Message> answer;
    for (int i = 0; i < 50 && !answer; ++i) {
        client.send("    ");
        answer = client.read_response(100ms);
    }
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status(), 408);
    EXPECT_EQ(rig.backend.connections(), 0U);
}

TEST(ClientTimeouts, EndABodyThatFallsSilentAfterAFastStart) {
    const Rig rig(ScriptedBackend::answering(well_behaved), {},
                  {.document = "client_timeouts: {body_grace: 300ms, body_rate: 1KiB}\n"});
    RawClient client(rig.gateway.port());
    client.send(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        "Content-Length: 600000\r\n\r\n");
    ASSERT_TRUE(client.send("{\"model\": \"m1\", \"padding\": \"" + std::string(500'000, 'x')));
    const auto answer = client.read_response(5s * kSlowdown);
    ASSERT_TRUE(answer) << "at 1 KiB/s, half a megabyte was worth 8 minutes of silence";
    EXPECT_EQ(answer->status(), 408);
    EXPECT_EQ(answer->error_code(), "body_timeout");
}

TEST(ClientTimeouts, LetAFastEnoughBodyPass) {
    const Rig rig(ScriptedBackend::answering(well_behaved), {},
                  {.document = "client_timeouts: {body_grace: 300ms, body_rate: 1KiB}\n"});
    const auto body = chat("m1", false, std::string(40'000, 'x')).dump();
    RawClient client(rig.gateway.port());
    client.send(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        "Content-Length: " +
        std::to_string(body.size()) + "\r\n\r\n");
    for (std::size_t at = 0; at < body.size(); at += 2000) {
        client.send(std::string_view(body).substr(at, 2000));
        ASSERT_FALSE(at + 2000 < body.size() && client.read_response(50ms));
    }
    EXPECT_EQ(client.read_response()->status(), 200);
}

}  // namespace
}  // namespace millrace::test
