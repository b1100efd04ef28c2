// What a waiting stream is told, and how an answer that is no stream ends it.
#include "gateway/pipeline/heartbeat.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "gateway/pipeline/admit.hpp"
#include "gateway/pipeline/await_answer.hpp"
#include "tests/gateway/pipeline/live_world.hpp"
#include "tests/support/sse.hpp"

namespace millrace::gateway {
namespace {

using namespace testing_support;

class HeartbeatTest : public LiveTest {
protected:
    HeartbeatTest() { model().heartbeat = {.after = 5s, .every = 15s}; }

    Heartbeat heartbeat() { return {scope(), request, resolved}; }
    Instant now() const { return world.loop.recent(); }
};

TEST_F(HeartbeatTest, IsDueAfterItsDelay) {
    ask(true);
    EXPECT_EQ(heartbeat().due(), now() + 5s);
}

TEST_F(HeartbeatTest, IsDueLaterWhereTheStreamHasBegun) {
    ask(true);
    text->answer.status = 200;
    EXPECT_EQ(heartbeat().due(), now() + 15s) << "of a wait after another one";
}

TEST_F(HeartbeatTest, IsNeverDueForOthers) {
    ask(false);
    EXPECT_EQ(heartbeat().due(), Instant::max()) << "no stream";
    ask(true);
    request.surface = &openai::surface_of(openai::Api::embeddings);
    EXPECT_EQ(heartbeat().due(), Instant::max()) << "cannot stream";
}

TEST_F(HeartbeatTest, IsNeverDueForModelsThatDoNotAskForIt) {
    model().heartbeat.after = 0s;
    ask(true);
    EXPECT_EQ(heartbeat().due(), Instant::max());
}

TEST_F(HeartbeatTest, BeginsTheStreamOnceAndSaysWhereTheRequestStands) {
    ask(true);
    auto beats = heartbeat();
    world.clock.advance(5s);
    EXPECT_TRUE(turns->run(beats.beat("queued", 12, 1200ms)));
    const auto& answer = text->answer;
    EXPECT_EQ(answer.status, 200);
    EXPECT_TRUE(answer.has_body);
    EXPECT_EQ(answer.field("content-type"), "text/event-stream; charset=utf-8");
    EXPECT_EQ(answer.field("cache-control"), "no-cache");
    EXPECT_EQ(answer.field("x-accel-buffering"), "no");
    EXPECT_EQ(answer.field("x-request-id"), scope().request_id());
    EXPECT_EQ(answer.body, ": millrace state=queued ahead=12 wait_seconds=2\n\n");
    EXPECT_FALSE(answer.complete);
    EXPECT_EQ(scope().record.status, 200);
    EXPECT_EQ(scope().record.committed, metrics::Commit::heartbeat);
    EXPECT_EQ(beats.due(), now() + 15s);
    const auto fields = answer.fields.size();
    world.clock.advance(15s);
    EXPECT_TRUE(turns->run(beats.beat("asleep", 0, 30s)));
    EXPECT_EQ(answer.body,
              ": millrace state=queued ahead=12 wait_seconds=2\n\n"
              ": millrace state=asleep ahead=0 wait_seconds=30\n\n");
    EXPECT_EQ(answer.fields.size(), fields) << "one head";
    EXPECT_EQ(beats.due(), now() + 15s);
}

TEST_F(HeartbeatTest, IsNoEventToASseReader) {
    ask(true);
    auto beats = heartbeat();
    EXPECT_TRUE(turns->run(beats.beat("queued", 0, 0s)));
    EXPECT_TRUE(test::sse_events(text->answer.body).empty());
}

TEST_F(HeartbeatTest, TellsThatTheClientIsGone) {
    ask(true);
    text->answer.client_is_there = false;
    auto beats = heartbeat();
    EXPECT_FALSE(turns->run(beats.beat("queued", 0, 0s)));
}

// In line.

class WaitingHeartbeatTest : public HeartbeatTest {
protected:
    void wait(bool stream) {
        ask(stream);
        pool().update({});
        wait_on();
    }
    void wait_on() {
        waiting.emplace(wait_for_endpoint(scope(), request, resolved, selection));
        turns->settle();
    }
    std::string said() { return std::exchange(text->answer.body, {}); }
    void TearDown() override {
        text->abort.fire(AbortReason::client_closed);
        turns->settle();
    }

    routing::Selection selection;
    std::optional<Pending<Result<routing::Selected>>> waiting;
};

TEST_F(WaitingHeartbeatTest, ComesAfterItsDelayAndThenRegularly) {
    wait(true);
    turns->pass(4900ms);
    EXPECT_EQ(said(), "");
    turns->pass(200ms);
    EXPECT_EQ(said(), ": millrace state=asleep ahead=0 wait_seconds=25\n\n")
        << "what is left of the usual cold start";
    turns->pass(14800ms);
    EXPECT_EQ(said(), "");
    turns->pass(300ms);
    EXPECT_EQ(said(), ": millrace state=asleep ahead=0 wait_seconds=10\n\n");
    EXPECT_FALSE(waiting->done());
}

TEST_F(WaitingHeartbeatTest, SaysWhatItIsThatIsWaitedFor) {
    ask(true);
    pool().set_draining(true);
    wait_on();
    turns->pass(5100ms);
    EXPECT_TRUE(said().starts_with(": millrace state=starting "));
    pool().set_limits({1, {}, {}});
    const routing::EndpointLease busy(endpoint(0));
    pool().set_draining(false);
    turns->pass(15100ms);
    EXPECT_EQ(said(), ": millrace state=queued ahead=0 wait_seconds=2\n\n");
}

TEST_F(WaitingHeartbeatTest, TellsOthersNothing) {
    wait(false);
    turns->pass(100s);
    EXPECT_EQ(said(), "");
    EXPECT_FALSE(text->answer.committed());
}

TEST_F(WaitingHeartbeatTest, DoesNotOutliveTheWait) {
    wait(true);
    pool().update({{"10.0.0.1", 1, false, {}}});
    EXPECT_TRUE(turns->finish(*waiting));
    turns->pass(100s);
    EXPECT_EQ(said(), "");
}

// answer_late(): the backend's answer is none of a stream, and a heartbeat has said 200.

class LateAnswerTest : public HeartbeatTest {
protected:
    void start() {
        ask(true);
        text->answer.status = 200;
        begin(scope(), request, resolved, {},
              routing::pick_endpoint(resolved.decision, {}, world.endpoints, world.loop.random()),
              answer);
    }
    /// What the client gets after the heartbeat.
    std::string late(ScriptedBackend::Script script) {
        backend(std::move(script));
        start();
        EXPECT_TRUE(turns->run(await_answer(scope(), request, resolved, answer)));
        backends.back()->release("looked at");
        EXPECT_TRUE(turns->run(finish()));
        return text->answer.body;
    }
    Task<bool> finish() {
        co_await answer_late(scope(), answer);
        co_return true;
    }

    Answer answer{world.scratch};
};

TEST_F(LateAnswerTest, BecomesAnErrorEventWithTheBackendsWords) {
    const auto said = late(ScriptedBackend::always(test::json_response(
        {{"error", {{"message", "too long\nby far"}, {"type", "BadRequestError"}, {"code", 400}}}},
        400)));
    const auto events = test::sse_events(said);
    ASSERT_EQ(events.size(), 1U) << said;
    EXPECT_EQ(events[0].json()["error"]["message"], "too long\nby far");
    EXPECT_EQ(events[0].json()["error"]["status"], 400);
    EXPECT_FALSE(text->answer.complete) << "cut, so that nobody takes it for a whole answer";
    EXPECT_EQ(scope().record.outcome, metrics::Outcome::backend_error);
    EXPECT_EQ(scope().record.error, Errc::upstream_error_event);
    EXPECT_EQ(answer.record->outcome, metrics::AttemptOutcome::error_status);
}

TEST_F(LateAnswerTest, IsReadHoweverItIsLaidOut) {
    const auto said = late(ScriptedBackend::always(
        test::response(400, "{\r\n  \"error\":\n  {\"message\": \"too long\"}\r\n}\n")));
    EXPECT_EQ(test::sse_events(said).at(0).json()["error"]["message"], "too long");
}

TEST_F(LateAnswerTest, HasTheWordsThatWereLookedAtBefore) {
    // A 400 to the gateway's usage option is read before it is known to be about something else.
    backend(two_parts("HTTP/1.1 400 No\r\nTransfer-Encoding: chunked\r\n\r\n" +
                          test::chunk(R"({"error":{"message":)"),
                      test::chunk(R"("in parts"}})") + std::string(test::kLastChunk)));
    start();
    Pending<Result<bool>> waiting(await_answer(scope(), request, resolved, answer));
    ASSERT_TRUE(turns->turn_until([this] { return !answer.held.empty(); }));
    backends[0]->release("go");
    ASSERT_TRUE(turns->finish(waiting));
    ASSERT_TRUE(turns->run(finish()));
    EXPECT_NE(text->answer.body.find("in parts"), std::string::npos) << text->answer.body;
}

TEST_F(LateAnswerTest, HasWordsOfItsOwnWhereTheBackendHasNone) {
    EXPECT_NE(late(ScriptedBackend::always(test::response(404, "nothing here")))
                  .find("The backend refused the request."),
              std::string::npos);
}

TEST_F(LateAnswerTest, ReadsTheRestOfTheAnswerForItsWords) {
    const std::string words = R"({"error":{"message":"in two parts"}})";
    const auto said = late([&words](BackendConnection& connection) {
        if (connection.read_request() &&
            connection.send("HTTP/1.1 404 No\r\nContent-Length: " + std::to_string(words.size()) +
                            "\r\n\r\n" + words.substr(0, 9)) &&
            connection.wait_for("looked at")) {
            connection.send(words.substr(9));
        }
    });
    EXPECT_NE(said.find("in two parts"), std::string::npos) << said;
}

TEST_F(LateAnswerTest, MakesDoWithWhatCameOfAnAnswerThatBreaksOff) {
    EXPECT_NE(late(ScriptedBackend::once_then_close(
                       "HTTP/1.1 404 No\r\nContent-Length: 100\r\n\r\n{\"error\""))
                  .find("The backend refused the request."),
              std::string::npos);
}

TEST_F(LateAnswerTest, IsABadGatewayWhereTheStatusWasFine) {
    const auto said = late(ScriptedBackend::always(test::json_response({{"id", "x"}})));
    EXPECT_NE(said.find("something that is no event stream"), std::string::npos) << said;
    EXPECT_EQ(test::sse_events(said).at(0).json()["error"]["status"], 502) << said;
}

TEST_F(LateAnswerTest, ReadsOnlyTheBeginningOfALargeAnswer) {
    // The backend may still write it when the test is over.
    const auto sent_all = std::make_shared<std::atomic<bool>>(false);
    const auto said = late([sent_all](BackendConnection& connection) {
        if (connection.read_request() &&
            connection.send("HTTP/1.1 404 No\r\nContent-Length: 100000000\r\n\r\n")) {
            *sent_all = connection.send(std::string(100'000'000, ' '));
        }
    });
    EXPECT_NE(said.find("The backend refused the request."), std::string::npos);
    answer.clear();
    EXPECT_FALSE(*sent_all);
}

}  // namespace
}  // namespace millrace::gateway
