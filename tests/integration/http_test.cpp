// HTTP/1.1 towards clients: expectations, versions, pipelining, keep-alive, HEAD and bodies that
// must pass unchanged.
#include <gtest/gtest.h>

#include "tests/integration/rig.hpp"

namespace millrace::test {
namespace {

TEST(Http, AnswersExpectContinueBeforeTheBody) {
    const Rig rig;
    const auto body = chat("m1").dump();
    RawClient client(rig.gateway.port());
    client.send(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        "Expect: 100-continue\r\nContent-Length: " +
        std::to_string(body.size()) + "\r\n\r\n");
    const auto interim = client.read_response();
    ASSERT_TRUE(interim);
    EXPECT_EQ(interim->status(), 100);
    client.send(body);
    EXPECT_EQ(client.read_response()->status(), 200);
    EXPECT_FALSE(rig.backend.requests().back().has("expect"));
}

TEST(Http, ServesHttp10AndEndsTheConnection) {
    const Rig rig;
    const auto body = chat("m1").dump();
    RawClient client(rig.gateway.port());
    client.send(
        "POST /v1/chat/completions HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: " +
        std::to_string(body.size()) + "\r\n\r\n" + body);
    const auto answer = client.read_response();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status(), 200);
    EXPECT_FALSE(answer->chunked);
    EXPECT_EQ(answer->json()["choices"][0]["message"]["content"], "Hello there friend");
    EXPECT_TRUE(client.closed_by_peer());
}

TEST(Http, StreamsToHttp10WithoutChunksUntilTheEnd) {
    const Rig rig;
    const auto body = chat("m1", true).dump();
    RawClient client(rig.gateway.port());
    client.send(
        "POST /v1/chat/completions HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: " +
        std::to_string(body.size()) + "\r\n\r\n" + body);
    const auto answer = client.read_response();
    ASSERT_TRUE(answer);
    EXPECT_FALSE(answer->chunked);
    const auto verdict = judge_stream(answer->body);
    EXPECT_EQ(verdict.content, "t0 t1 t2 ");
    EXPECT_TRUE(verdict.done);
}

TEST(Http, AnswersPipelinedRequestsInOrder) {
    // The first answer is the slowest; order must not depend on speed.
    const Rig rig(ScriptedBackend::answering([](const Message& seen) {
        return json_response(chat_answer(seen.json()["messages"][0]["content"].get<std::string>()));
    }));
    std::string bytes;
    for (int i = 0; i < 10; ++i) {
        bytes += i % 3 == 1 ? request("GET", "/v1/models")
                            : post(kChat, chat("m1", false, "question " + std::to_string(i)));
    }
    RawClient client(rig.gateway.port());
    client.send(bytes);
    for (int i = 0; i < 10; ++i) {
        const auto answer = client.read_response();
        ASSERT_TRUE(answer) << i;
        if (i % 3 == 1) {
            EXPECT_EQ(answer->json()["object"], "list") << i;
        } else {
            EXPECT_EQ(answer->json()["choices"][0]["message"]["content"],
                      "question " + std::to_string(i));
        }
    }
}

TEST(Http, ServesARequestPipelinedBehindAStream) {
    const Rig rig;
    RawClient client(rig.gateway.port());
    client.send(post(kChat, chat("m1", true)) + request("GET", "/v1/models"));
    const auto stream = client.read_response();
    ASSERT_TRUE(stream);
    EXPECT_TRUE(judge_stream(stream->body).done);
    EXPECT_EQ(client.read_response()->json()["object"], "list");
}

TEST(Http, ClosesAfterTheConfiguredNumberOfRequests) {
    const Rig rig(ScriptedBackend::answering(well_behaved), {},
                  {.document = "limits: {requests_per_connection: 3}\n"});
    RawClient client(rig.gateway.port());
    for (int i = 0; i < 3; ++i) {
        client.send(request("GET", "/v1/models"));
        const auto answer = client.read_response();
        ASSERT_TRUE(answer);
        EXPECT_EQ(answer->header("connection") == "close", i == 2) << i;
    }
    EXPECT_TRUE(client.closed_by_peer());
}

TEST(Http, ClosesAnIdleConnectionAfterTheKeepAliveTime) {
    const Rig rig(ScriptedBackend::answering(well_behaved), {},
                  {.document = "client_timeouts: {keep_alive: 300ms}\n"});
    RawClient client(rig.gateway.port());
    client.send(request("GET", "/v1/models"));
    ASSERT_TRUE(client.read_response());
    const auto start = std::chrono::steady_clock::now();
    EXPECT_TRUE(client.closed_by_peer());
    EXPECT_GE(since(start), 200ms);
    EXPECT_LE(since(start), 3s);
}

TEST(Http, RefusesConnectionsBeyondTheLimitAndRecovers) {
    const Rig rig(ScriptedBackend::answering(well_behaved), {},
                  {.data_listener = "max_connections: 2"});
    std::vector<RawClient> clients;
    for (int i = 0; i < 2; ++i) {
        clients.emplace_back(rig.gateway.port());
        clients.back().send(request("GET", "/v1/models"));
        ASSERT_EQ(clients.back().read_response()->status(), 200);
    }
    RawClient third(rig.gateway.port());
    third.send(request("GET", "/v1/models"));
    const auto refused = third.read_response(2s);
    EXPECT_TRUE(!refused || refused->status() == 503);
    clients.clear();
    EXPECT_TRUE(eventually([&] { return get(rig.gateway.port(), "/v1/models").status() == 200; }));
}

TEST(Http, AnswersHeadWithoutABody) {
    // Whatever the answer is, a body after it would be taken for the next answer.
    const Rig rig;
    RawClient client(rig.gateway.port());
    client.expect_no_body(true);
    for (const auto* path : {"/v1/models", "/nothing", "/v1/models/m1"}) {
        client.send(request("HEAD", path));
        const auto head = client.read_response();
        ASSERT_TRUE(head) << path;
        EXPECT_EQ(head->status(), path == std::string_view("/nothing") ? 404 : 200) << path;
        EXPECT_NE(head->header("content-length"), "0") << path;
    }
    client.expect_no_body(false);
    client.send(request("GET", "/v1/models"));
    const auto whole = client.read_response();
    ASSERT_TRUE(whole);
    EXPECT_EQ(whole->status(), 200) << "a body after HEAD spoilt the connection";
}

TEST(Http, RelaysTheAnswerToHeadWithItsLengthAndWithoutItsBody) {
    const ScriptedBackend backend(ScriptedBackend::always(
        "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nx-from: backend\r\n\r\n"));
    auto options = forward_everything(backend.url());
    options.workers = 1;
    const GatewayProcess gateway(options);
    RawClient client(gateway.port());
    client.expect_no_body(true);
    for (int i = 0; i < 3; ++i) {
        client.send(request("HEAD", "/file"));
        const auto head = client.read_response();
        ASSERT_TRUE(head) << i;
        EXPECT_EQ(head->header("content-length"), "1234");
        EXPECT_EQ(head->header("x-from"), "backend");
    }
    EXPECT_EQ(backend.connections(), 1U);
}

TEST(Http, ServesTheNextRequestOnTheSameConnectionAfterARefusalOfContent) {
    const Rig rig;
    RawClient client(rig.gateway.port());
    client.send(post(kChat, chat("nobody")));
    EXPECT_EQ(client.read_response()->status(), 404);
    client.send(post(kChat, chat("m1")));
    EXPECT_EQ(client.read_response()->status(), 200);
}

TEST(Http, ForwardsALargeBodySentInPiecesUnchanged) {
    const Rig rig;
    const auto body = chat("m1", false, std::string(3'000'000, 'x') + "end");
    RawClient client(rig.gateway.port());
    const auto text = body.dump();
    std::string bytes =
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        "Transfer-Encoding: chunked\r\n\r\n";
    for (std::size_t at = 0; at < text.size(); at += 70'001) {
        bytes += chunk(std::string_view(text).substr(at, 70'001));
    }
    client.send_in_pieces(bytes.append(kLastChunk), 30'011);
    EXPECT_EQ(client.read_response()->status(), 200);
    EXPECT_EQ(rig.backend.requests().back().json(), body);
}

TEST(Http, RelaysALargeAnswerUnchanged) {
    std::string big(5'000'000, 'a');
    for (std::size_t i = 0; i < big.size(); i += 997) {
        big[i] = static_cast<char>('a' + i % 26);
    }
    const Rig rig(ScriptedBackend::always(json_response(chat_answer(big))));
    const auto answer = rig.chat_call(chat("m1"));
    EXPECT_TRUE(answer.complete);
    EXPECT_EQ(answer.json()["choices"][0]["message"]["content"], big);
}

TEST(Http, FindsTheModelAtTheEndOfAMultipartBodyAndKeepsItsBytes) {
    const Rig rig(ScriptedBackend::always(json_response({{"text", "hi"}})));
    std::string audio;
    for (int i = 0; i < 200'000; ++i) {
        audio.push_back(static_cast<char>(i * 7));
    }
    const std::string body =
        "--XbX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n"
        "Content-Type: audio/wav\r\n\r\n" +
        audio +
        "\r\n--XbX\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm1\r\n--XbX--\r\n";
    const auto answer = call(
        rig.gateway.port(), request("POST", "/v1/audio/transcriptions",
                                    {{"Content-Type", "multipart/form-data; boundary=XbX"}}, body));
    EXPECT_EQ(answer.status(), 200) << answer.raw;
    EXPECT_EQ(rig.backend.requests().back().body, body);
}

TEST(Http, RewritesTheModelInsideAMultipartBody) {
    const ScriptedBackend backend(ScriptedBackend::always(json_response({{"text", "hi"}})));
    const GatewayProcess gateway(
        {.document =
             "models: [{id: m1, variants: [{name: s, backend: p, served_name: whisper-large}]}]\n"
             "backends: {p: {endpoints: {static: [\"" +
             backend.url() + "\"]}}}\n"});
    const std::string body =
        "--B\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm1\r\n"
        "--B\r\nContent-Disposition: form-data; name=\"file\"; "
        "filename=\"a\"\r\n\r\ndata\r\n--B--\r\n";
    ASSERT_EQ(
        call(gateway.port(), request("POST", "/v1/audio/transcriptions",
                                     {{"Content-Type", "multipart/form-data; boundary=B"}}, body))
            .status(),
        200);
    auto expected = body;
    expected.replace(expected.find("m1\r\n"), 2, "whisper-large");
    EXPECT_EQ(backend.requests().back().body, expected);
}

TEST(Http, SkipsInterimAnswersOfABackend) {
    const Rig rig(
        ScriptedBackend::always("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
                                "HTTP/1.1 100 Continue\r\n\r\n" +
                                json_response(chat_answer())));
    EXPECT_EQ(rig.chat_call(chat("m1")).status(), 200);
}

TEST(Http, KeepsTheConnectionToTheBackend) {
    const Rig rig(ScriptedBackend::answering(well_behaved), {}, {.workers = 1});
    for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(rig.chat_call(chat("m1", i % 2 == 0)).status(), 200);
    }
    EXPECT_EQ(rig.backend.connections(), 1U);
}

}  // namespace
}  // namespace millrace::test
