// The death of a backend at every byte of a canned answer. What the client gets is complete only if
// the answer was; else it is an error status, an error event without an end marker, or a cut the
// client can see. Never silence, never something that looks whole, never a connection used again.
#include <gtest/gtest.h>

#include "tests/integration/rig.hpp"

namespace millrace::test {
namespace {

enum class Death { close, reset };

/// Dies after `x-cut` bytes of the answer (all of it and then the end, when the number is larger).
ScriptedBackend::Script dying(std::string answer, Death how) {
    return [answer = std::move(answer), how](BackendConnection& connection) {
        const auto seen = connection.read_request();
        if (!seen) {
            return;
        }
        connection.send(std::string_view(answer).substr(0, std::stoul(seen->header("x-cut"))));
        if (how == Death::reset) {
            connection.reset();
        }
    };
}

Message cut_at(const Rig& rig, std::size_t offset, bool stream) {
    return rig.chat_call(chat("m1", stream), {{"x-cut", std::to_string(offset)}});
}

/// What the client's content may be: the beginning of the whole one, in order.
void expect_beginning_of(const std::string& whole, const std::string& part, std::size_t offset) {
    EXPECT_EQ(whole.substr(0, part.size()), part) << "at byte " << offset;
}

void expect_honest_stream(const Message& answer, bool was_whole, std::size_t offset) {
    const auto verdict = judge_stream(answer.body);
    if (answer.status() >= 500) {
        EXPECT_FALSE(was_whole) << "at byte " << offset;
        EXPECT_TRUE(answer.complete) << "at byte " << offset;
        EXPECT_FALSE(answer.error_code().empty()) << "at byte " << offset << ": " << answer.raw;
        return;
    }
    ASSERT_EQ(answer.status(), 200) << "at byte " << offset << ": " << answer.raw;
    expect_beginning_of("t0 t1 t2 ", verdict.content, offset);
    if (was_whole) {
        EXPECT_TRUE(answer.complete && verdict.done && !verdict.error) << answer.raw;
        EXPECT_EQ(verdict.content, "t0 t1 t2 ");
    } else if (verdict.done) {
        // Everything up to the end marker had arrived; only the framing is missing, and that shows.
        EXPECT_FALSE(answer.complete) << "at byte " << offset;
    } else {
        EXPECT_TRUE(verdict.error) << "at byte " << offset << ": no error event: " << answer.body;
        EXPECT_FALSE(answer.complete) << "at byte " << offset << ": the cut looks like an end";
    }
}

void cut_streams_everywhere(Death how) {
    const auto whole = chat_stream(3, true);
    const Rig rig(dying(whole, how), {}, {.workers = 1});
    for (std::size_t offset = 0; offset < whole.size() + 1; ++offset) {
        const auto answer = cut_at(rig, offset, true);
        ASSERT_NE(answer.status(), 0) << "silence at byte " << offset;
        // A reset may overtake bytes that were sent before it, so the whole answer may be lost too.
        if (how == Death::close || offset < whole.size()) {
            expect_honest_stream(answer, offset >= whole.size(), offset);
        }
        if (testing::Test::HasFailure()) {
            return;
        }
    }
    EXPECT_EQ(rig.backend.connections(), rig.backend.request_count())
        << "a connection that died was used again";
    EXPECT_TRUE(rig.gateway.quiet());
}

TEST(Truncation, OfAStreamAtEveryByteByFin) {
    cut_streams_everywhere(Death::close);
}
TEST(Truncation, OfAStreamAtEveryByteByReset) {
    cut_streams_everywhere(Death::reset);
}

void cut_answers_everywhere(const std::string& whole, Death how) {
    const Rig rig(dying(whole, how), {}, {.workers = 1});
    for (std::size_t offset = 0; offset < whole.size() + 1; ++offset) {
        const auto answer = cut_at(rig, offset, false);
        ASSERT_NE(answer.status(), 0) << "silence at byte " << offset;
        if (offset >= whole.size()) {
            if (how == Death::close) {
                EXPECT_EQ(answer.status(), 200);
                EXPECT_TRUE(answer.complete);
                EXPECT_EQ(answer.json(), chat_answer());
            }
        } else if (answer.status() == 200) {
            EXPECT_FALSE(answer.complete) << "at byte " << offset << ": " << answer.raw;
        } else {
            EXPECT_EQ(answer.status(), 502) << "at byte " << offset;
            EXPECT_TRUE(answer.complete);
        }
        if (testing::Test::HasFailure()) {
            return;
        }
    }
    EXPECT_EQ(rig.backend.connections(), rig.backend.request_count());
}

TEST(Truncation, OfAnAnswerWithLengthAtEveryByteByFin) {
    cut_answers_everywhere(json_response(chat_answer()), Death::close);
}

TEST(Truncation, OfAnAnswerWithLengthAtEveryByteByReset) {
    cut_answers_everywhere(json_response(chat_answer()), Death::reset);
}

TEST(Truncation, OfAChunkedAnswerAtEveryByte) {
    const auto body = chat_answer().dump();
    cut_answers_everywhere(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" +
            chunk(std::string_view(body).substr(0, 50)) + chunk(std::string_view(body).substr(50)) +
            std::string(kLastChunk),
        Death::close);
}

TEST(Truncation, OfAStreamForHttp10IsAReset) {
    const auto whole = chat_stream(3, true);
    const auto at = whole.find("t1 ") + 10;
    const Rig rig(ScriptedBackend::once_then_close(whole.substr(0, at)));
    const auto body = chat("m1", true).dump();
    RawClient client(rig.gateway.port());
    client.send(
        "POST /v1/chat/completions HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: " +
        std::to_string(body.size()) + "\r\n\r\n" + body);
    client.read_to_end();
    EXPECT_EQ(client.last_outcome(), ReadOutcome::reset)
        << "without chunks only a reset tells a cut from the end";
}

TEST(Truncation, LeavesABackendsOwnErrorEventAndItsEndMarkerAsTheyAre) {
    const auto failed = event(
        {{"error", {{"message", "CUDA error"}, {"type", "InternalServerError"}, {"code", 500}}}});
    const Rig rig(ScriptedBackend::always(stream_head() + chunk(event(chat_chunk("t0 "))) +
                                          chunk(failed) + chunk("data: [DONE]\n\n") +
                                          std::string(kLastChunk)));
    const auto answer = rig.chat_call(chat("m1", true));
    EXPECT_TRUE(answer.complete);
    EXPECT_EQ(answer.body, event(chat_chunk("t0 ")) + failed + "data: [DONE]\n\n");
    EXPECT_EQ(rig.gateway.access_line(answer.header("x-request-id")).value("outcome", ""),
              "backend_error");
}

/// A stream whose end is that of its connection.
Message until_close(std::string_view events) {
    const Rig rig(ScriptedBackend::once_then_close(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n" +
        std::string(events)));
    return rig.chat_call(chat("m1", true));
}

TEST(Truncation, OfAStreamWithoutFramingLeavesWholeEvents) {
    const auto events = chat_events(2, false);
    const auto answer = until_close(events[0] + events[1] + events[2].substr(0, 40));
    const auto verdict = judge_stream(answer.body);
    EXPECT_EQ(verdict.content, "t0 ") << answer.raw;
    EXPECT_TRUE(verdict.error);
    EXPECT_FALSE(answer.complete);
}

TEST(Truncation, IsNoneWhereTheEndMarkerCame) {
    std::string events;
    for (const auto& one : chat_events(2, false)) {
        events += one;
    }
    for (const std::size_t missing : {0U, 1U, 2U}) {
        const auto answer = until_close(events.substr(0, events.size() - missing));
        EXPECT_TRUE(answer.complete) << missing << answer.raw;
        EXPECT_FALSE(judge_stream(answer.body + "\n\n").error);
    }
}

TEST(Truncation, NamesItselfInTheErrorEvent) {
    const auto whole = chat_stream(3, true);
    const Rig rig(ScriptedBackend::once_then_close(whole.substr(0, whole.find("t1 "))));
    const auto answer = rig.chat_call(chat("m1", true));
    const auto events = sse_events(answer.body);
    ASSERT_FALSE(events.empty());
    const auto error = events.back().json();
    ASSERT_TRUE(error.contains("error")) << events.back().data;
    for (const auto* key : {"message", "type", "param", "code"}) {
        EXPECT_TRUE(error["error"].contains(key)) << key;
    }
    const auto line = rig.gateway.access_line(answer.header("x-request-id"));
    EXPECT_EQ(line.value("outcome", ""), "truncated");
    EXPECT_EQ(line.value("status", 0), 200);
    EXPECT_EQ(
        rig.gateway.metrics().sum("millrace_upstream_attempts_total", {{"outcome", "truncated"}}),
        1);
}

}  // namespace
}  // namespace millrace::test
