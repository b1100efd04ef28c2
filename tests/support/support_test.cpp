// The test support itself: a client and a scripted backend against each other, and the readers
// against known text.
#include <csignal>

#include <gtest/gtest.h>

#include "tests/support/manual_clock.hpp"
#include "tests/support/metrics_text.hpp"
#include "tests/support/process.hpp"
#include "tests/support/raw_client.hpp"
#include "tests/support/scripted_backend.hpp"
#include "tests/support/sse.hpp"

namespace millrace::test {
namespace {

TEST(ManualClock, MovesOnlyWhenTold) {
    ManualClock clock;
    const auto before = clock.now();
    clock.advance(3s);
    EXPECT_EQ(clock.now() - before, 3s);
}

TEST(ScriptedBackend, AnswersKeepAliveRequestsInOrderAndRecordsThem) {
    ScriptedBackend backend(ScriptedBackend::answering(
        [](const Message& message) { return response(200, "you sent " + message.body); }));
    RawClient client(backend.port());
    ASSERT_TRUE(client.send_in_pieces(post_text("/a", "one") + post_text("/b", "two")));
    EXPECT_EQ(client.read_response()->body, "you sent one");
    EXPECT_EQ(client.read_response()->body, "you sent two");
    EXPECT_EQ(backend.connections(), 1U);
    ASSERT_EQ(backend.request_count(), 2U);
    EXPECT_EQ(backend.requests()[1].target(), "/b");
    EXPECT_EQ(backend.requests()[0].header("content-type"), "application/json");
}

TEST(ScriptedBackend, CutsAnAnswerAndTheClientKnowsItIsIncomplete) {
    const auto whole = response(200, "0123456789");
    ScriptedBackend backend(ScriptedBackend::once_then_close(whole.substr(0, whole.size() - 3)));
    RawClient client(backend.port());
    client.send(request("GET", "/"));
    const auto message = client.read_response();
    ASSERT_TRUE(message);
    EXPECT_FALSE(message->complete);
    EXPECT_EQ(message->body, "0123456");
}

TEST(ScriptedBackend, SeesAClientThatResets) {
    ScriptedBackend backend([](BackendConnection& connection) {
        connection.read_request();
        connection.wait_until_gone();
    });
    RawClient client(backend.port());
    client.send(request("GET", "/"));
    ASSERT_TRUE(backend.wait_for_requests(1));
    client.reset();
    EXPECT_TRUE(eventually([&] { return backend.gone_count() == 1; }));
    EXPECT_TRUE(eventually([&] { return backend.open_connections() == 0; }));
}

TEST(ScriptedBackend, WaitsForTheTestAndRefusesWhenToldTo) {
    ScriptedBackend backend([](BackendConnection& connection) {
        connection.read_request();
        connection.wait_for("go");
        connection.send(response(204, ""));
    });
    RawClient client(backend.port());
    client.send(request("GET", "/"));
    EXPECT_FALSE(client.read_response(50ms));
    backend.release("go");
    EXPECT_EQ(client.read_response()->status(), 204);
    backend.stop_accepting();
    EXPECT_FALSE(RawClient(backend.port()).connected());
}

TEST(MessageReader, ReadsChunkedBodiesAndPartialOnes) {
    MessageReader reader(MessageReader::Kind::response);
    const auto whole = stream_head() + chunk("data: 1\n\n") + chunk("data: 2\n\n");
    reader.feed(whole);
    EXPECT_FALSE(reader.next());
    EXPECT_EQ(reader.partial()->body, "data: 1\n\ndata: 2\n\n");
    reader.feed(kLastChunk);
    const auto message = reader.next();
    ASSERT_TRUE(message);
    EXPECT_TRUE(message->complete);
    EXPECT_TRUE(reader.pending().empty());
}

TEST(MessageReader, CallsATruncatedChunkedBodyIncomplete) {
    MessageReader reader(MessageReader::Kind::response);
    reader.feed(stream_head() + chunk("data: 1\n\n"));
    const auto message = reader.next(true);
    ASSERT_TRUE(message);
    EXPECT_FALSE(message->complete);
}

TEST(SseEvents, ReadsAllLineEndsCommentsAndJoinedData) {
    const auto events =
        sse_events(": hi\n\ndata: a\ndata:b\n\nevent: x\rdata: c\r\rdata: d\r\n\r\ndata: cut");
    ASSERT_EQ(events.size(), 3U);
    EXPECT_EQ(events[0].data, "a\nb");
    EXPECT_EQ(events[1].event, "x");
    EXPECT_EQ(events[2].data, "d");
}

TEST(JudgeStream, TellsCompleteFromCut) {
    const auto verdict = judge_stream(
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\n"
        "data: {\"error\":{\"message\":\"m\",\"code\":\"upstream_truncated\"}}\n\n");
    EXPECT_EQ(verdict.content, "Hi");
    EXPECT_TRUE(verdict.error);
    EXPECT_EQ(verdict.error_code, "upstream_truncated");
    EXPECT_FALSE(verdict.done);
}

TEST(MetricsText, ReadsNamesLabelsAndEscapes) {
    const MetricsText page(
        "# HELP a x\n# TYPE a counter\na{m=\"x\\\"y\",n=\"1\"} 2\na{m=\"z\",n=\"1\"} 3\nb 1e3\n");
    EXPECT_EQ(page.sum("a"), 5);
    EXPECT_EQ(page.value("a", {{"m", "x\"y"}}), 2);
    EXPECT_EQ(page.value("b"), 1000);
    EXPECT_EQ(page.types().at("a"), "counter");
    EXPECT_THROW(MetricsText("a{m=x} 1\n"), std::runtime_error);
}

TEST(Process, ReportsExitCodesAndSignals) {
    Process exits({.command = {"sh", "-c", "exit 3"}});
    EXPECT_EQ(exits.wait(), 3);
    Process waits({.command = {"sleep", "60"}});
    EXPECT_FALSE(waits.wait(10ms));
    waits.signal(SIGTERM);
    EXPECT_EQ(waits.wait(), 128 + SIGTERM);
    EXPECT_EQ(run({"sh", "-c", "echo out; echo err >&2"}).output, "out\nerr\n");
}

}  // namespace
}  // namespace millrace::test
