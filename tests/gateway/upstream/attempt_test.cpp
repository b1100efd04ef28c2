#include "gateway/upstream/attempt.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/gateway/upstream/attempt_fixture.hpp"

namespace millrace::gateway {
namespace {

using namespace testing_support;

struct Framed {
    const char* name;
    std::string bytes;
    int status;
    std::string body;
    bool reusable;  // with a connection that the backend keeps open
    bool is_head = false;
};

std::vector<Framed> framings() {
    const std::string chunked(kChunkedHead);
    return {
        {"length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", true},
        {"length 0", "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", 404, "", true},
        {"chunked", chunked + "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", 200, "hello", true},
        {"chunked, extension and trailer", chunked + "5;a=\"b\"\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
         200, "hello", true},
        {"chunked, nothing", chunked + "0\r\n\r\n", 200, "", true},
        {"204", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", true},
        {"304", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, "", true},
        {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", 200, "", true, true},
        {"connection: close",
         "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", 200, "hello",
         false},
        {"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", false},
        {"bytes beyond the answer",
         "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n", 200, "hello",
         false},
        {"bytes beyond the last chunk", chunked + "5\r\nhello\r\n0\r\n\r\nX", 200, "hello", false},
    };
}

TEST_F(AttemptTest, ReadsAWholeAnswerInEveryFramingAndKeepsCleanConnections) {
    for (const auto& framed : framings()) {
        begin(ScriptedBackend::always(framed.bytes));
        options.is_head = framed.is_head;
        const auto ending = exchange();
        EXPECT_FALSE(ending.error) << framed.name << ": " << ending.error->detail;
        EXPECT_TRUE(ending.complete) << framed.name;
        EXPECT_EQ(ending.status, framed.status) << framed.name;
        EXPECT_EQ(ending.body, framed.body) << framed.name;
        EXPECT_EQ(attempt->bytes_read(), framed.bytes.size()) << framed.name;
        EXPECT_FALSE(attempt->reused()) << framed.name;
        rig.settle();
        EXPECT_EQ(rig.pool.idle_connections(), framed.reusable ? 1U : 0U) << framed.name;
        rig.pool.clear();
        attempt.reset();
    }
}

TEST_F(AttemptTest, ReadsTheSameHoweverTheBytesAreCut) {
    for (const auto& framed : framings()) {
        if (!framed.reusable) {
            continue;
        }
        begin([bytes = framed.bytes](BackendConnection& connection) {
            connection.read_request();
            for (const char byte : bytes) {
                connection.send({&byte, 1});
            }
            connection.wait_until_gone();
        });
        options.is_head = framed.is_head;
        const auto ending = exchange();
        EXPECT_FALSE(ending.error) << framed.name << ": " << ending.error->detail;
        EXPECT_EQ(ending.status, framed.status) << framed.name;
        EXPECT_EQ(ending.body, framed.body) << framed.name;
        rig.pool.clear();
        attempt.reset();
    }
}

TEST_F(AttemptTest, ReadsABodyThatEndsWithTheConnection) {
    const std::string body(200'000, 'x');
    begin(ScriptedBackend::once_then_close("HTTP/1.1 200 OK\r\n\r\n" + body));
    const auto ending = exchange();
    EXPECT_FALSE(ending.error);
    EXPECT_TRUE(ending.complete);
    EXPECT_EQ(ending.body, body);
    EXPECT_EQ(rig.pool.idle_connections(), 0U);
}

TEST_F(AttemptTest, ReadsLargeBodiesInPiecesOfBoundedSize) {
    const std::string body(1 << 20, 'y');
    begin(ScriptedBackend::always(test::response(200, body)));
    auto ending = run_to_head();
    ASSERT_FALSE(ending.error);
    while (!ending.error && !ending.complete) {
        const auto before = ending.body.size();
        read(ending);
        EXPECT_LE(ending.body.size() - before, 64U * 1024U);
    }
    EXPECT_EQ(ending.body, body);
}

TEST_F(AttemptTest, UsesAKeptConnectionAgain) {
    begin(ScriptedBackend::always(test::response(200, "hello")));
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(exchange().body, "hello");
        EXPECT_EQ(attempt->reused(), i > 0);
        EXPECT_TRUE(attempt->connected());
    }
    EXPECT_EQ(backend->connections(), 1U);
    EXPECT_EQ(backend->request_count(), 3U);
}

TEST_F(AttemptTest, OpensAFreshConnectionWhenToldTo) {
    begin(ScriptedBackend::always(test::response(200, "hello")));
    exchange();
    options.fresh_connection = true;
    EXPECT_EQ(exchange().body, "hello");
    EXPECT_FALSE(attempt->reused());
    EXPECT_EQ(backend->connections(), 2U);
}

TEST_F(AttemptTest, KeepsNoConnectionWhenTheConfigurationSaysSo) {
    settings.max_idle_connections = 0;
    begin(ScriptedBackend::always(test::response(200, "hello")));
    exchange();
    exchange();
    EXPECT_EQ(backend->connections(), 2U);
}

TEST_F(AttemptTest, SkipsInterimAnswersHoweverTheyArrive) {
    const std::string_view interim =
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    const auto answer = test::response(201, "made");
    for (const bool in_one_piece : {true, false}) {
        begin([interim, answer, in_one_piece](BackendConnection& connection) {
            connection.read_request();
            if (in_one_piece) {
                connection.send(std::string(interim) + answer);
            } else {
                connection.send(interim);
                connection.wait_for("final");
                connection.send(answer);
            }
            connection.wait_until_gone();
        });
        next();
        ASSERT_TRUE(send());
        Pending<Result<void>> head(attempt->read_head());
        await_request();
        rig.settle();
        backend->release("final");
        ASSERT_TRUE(rig.finish(head));
        EXPECT_EQ(attempt->head().status, 201);
        Ending ending;
        while (!ending.error && read(ending) == BodyProgress::more) {
        }
        EXPECT_EQ(ending.body, "made");
        attempt.reset();
    }
}

TEST_F(AttemptTest, DeliversWhatCameBeforeItSaysThatTheBodyIsTruncated) {
    const std::string chunked(kChunkedHead);
    for (const std::string& bytes :
         {std::string("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"),
          chunked + "5\r\nhello\r\n", chunked + "5\r\nhello\r\n0\r\n", chunked + "9\r\nhello",
          chunked + "5\r\nhello\r\nnonsense\r\n"}) {
        begin(ScriptedBackend::once_then_close(bytes));
        const auto ending = exchange();
        EXPECT_EQ(ending.status, 200) << bytes;
        EXPECT_EQ(ending.body, "hello") << bytes;
        EXPECT_FALSE(ending.complete) << bytes;
        EXPECT_TRUE(is_code(ending, Errc::upstream_truncated)) << bytes;
        EXPECT_EQ(ending.error ? ending.error->origin : Origin::internal, Origin::upstream);
        Ending again;
        read(again);
        EXPECT_TRUE(is_code(again, Errc::upstream_truncated)) << "and stays so: " << bytes;
        attempt.reset();
        EXPECT_EQ(rig.pool.idle_connections(), 0U) << bytes;
    }
}

TEST_F(AttemptTest, TellsAConnectionThatEndsBeforeTheHeadFromOneThatBreaksTheRules) {
    struct Case {
        std::string bytes;
        bool resets;
        Errc code;
    };
    const Case cases[] = {{"", false, Errc::upstream_closed},
                          {"", true, Errc::upstream_closed},
                          {"HTTP/1.1 200 OK\r\nContent-", false, Errc::upstream_closed},
                          {"HTTP/1.1 100 Continue\r\n\r\n", false, Errc::upstream_closed},
                          {"SSH-2.0-OpenSSH\r\n\r\n", false, Errc::upstream_bad_response},
                          {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
                           false, Errc::upstream_bad_response}};
    for (const auto& c : cases) {
        begin([c](BackendConnection& connection) {
            connection.read_request();
            connection.send(c.bytes);
            if (c.resets) {
                connection.reset();
            }
        });
        const auto ending = exchange();
        EXPECT_TRUE(is_code(ending, c.code)) << c.bytes;
        EXPECT_TRUE(attempt->connected());
        EXPECT_EQ(attempt->bytes_read(), c.bytes.size()) << "0 is what makes a retry harmless";
    }
}

TEST_F(AttemptTest, GivesUpConnectingInTime) {
    const test::NeverAccepting silent;
    const auto address = routing::parse_endpoint_url(silent.url());
    ASSERT_TRUE(address);
    go_to(address->host, address->port);
    options.timeouts.connect = 2s;
    next();
    Pending<Result<void>> connecting(attempt->connect(*endpoint, runtime));
    rig.pass(1990ms);
    EXPECT_FALSE(connecting.done());
    rig.pass(30ms);
    ASSERT_TRUE(connecting.done());
    const auto result = rig.finish(connecting);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::upstream_connect_timeout);
    EXPECT_NE(result.error().detail.find("2000 ms"), std::string::npos) << result.error().detail;
    EXPECT_FALSE(attempt->connected());
}

TEST_F(AttemptTest, WaitsForTheFirstByteOnlySoLong) {
    begin([](BackendConnection& connection) {
        connection.read_request();
        connection.wait_until_gone();
    });
    options.timeouts.first_byte = 5s;
    next();
    ASSERT_TRUE(send());
    Pending<Result<void>> head(attempt->read_head());
    await_request();
    rig.pass(4990ms);
    EXPECT_FALSE(head.done());
    rig.pass(30ms);
    ASSERT_TRUE(head.done());
    const auto result = rig.finish(head);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::first_byte_timeout);
    EXPECT_NE(result.error().detail.find("5000 ms"), std::string::npos) << result.error().detail;
    attempt.reset();
    EXPECT_TRUE(rig.turn_until([this] { return backend->gone_count() == 1; }));
}

TEST_F(AttemptTest, SendsALargeRequestWholeAndInOrder) {
    std::string body;
    for (int i = 0; body.size() < (8U << 20U); ++i) {
        body += std::to_string(i) + ',';
    }
    const auto request = test::post_text("/v1/x", body);
    begin(ScriptedBackend::always(test::response(200, "ok")));
    next();
    ASSERT_TRUE(rig.run(attempt->connect(*endpoint, runtime)));
    for (std::size_t at = 0; at < request.size(); at += 40'000) {
        pieces.push_back(std::string_view(request).substr(at, 40'000));
        pieces.emplace_back();  // empty ones are harmless
    }
    ASSERT_TRUE(rig.run(attempt->send(pieces)));
    ASSERT_TRUE(rig.run(attempt->read_head()));
    EXPECT_EQ(attempt->head().status, 200);
    ASSERT_EQ(backend->request_count(), 1U);
    EXPECT_TRUE(backend->requests().front().body == body);
}

TEST_F(AttemptTest, TakesAnAnswerThatComesBeforeTheRequestIsSent) {
    begin([](BackendConnection& connection) {
        connection.wait_for("answer");
        connection.send(test::response(413, "too large"));
        connection.wait_for("end");
    });
    const std::string large(64 << 20, 'x');
    next();
    ASSERT_TRUE(rig.run(attempt->connect(*endpoint, runtime)));
    pieces = {kRequest, large};
    Pending<Result<void>> sending(attempt->send(pieces));
    rig.settle();
    EXPECT_FALSE(sending.done());
    backend->release("answer");
    ASSERT_TRUE(rig.finish(sending)) << "no failure";
    ASSERT_TRUE(rig.run(attempt->read_head()));
    EXPECT_EQ(attempt->head().status, 413);
    Ending ending;
    while (!ending.error && read(ending) == BodyProgress::more) {
    }
    EXPECT_EQ(ending.body, "too large");
    attempt->finish(settings);
    EXPECT_EQ(rig.pool.idle_connections(), 0U) << "the rest of the request was never sent";
    backend->release("end");
}

TEST_F(AttemptTest, JoinsPiecesIntoOneView) {
    begin(ScriptedBackend::always(std::string(kChunkedHead) +
                                  "3\r\nabc\r\n1;x=y\r\nd\r\n2\r\nef\r\n0\r\n\r\n"));
    next();
    ASSERT_TRUE(send());
    ASSERT_TRUE(rig.run(attempt->read_head()));
    ASSERT_TRUE(rig.run(attempt->read(pieces)));
    ASSERT_EQ(pieces.size(), 3U);
    EXPECT_EQ(attempt->join(pieces), "abcdef");
    ASSERT_EQ(pieces.size(), 1U);
    EXPECT_EQ(pieces.front(), "abcdef");
    EXPECT_EQ(attempt->join(pieces), "abcdef") << "one piece is left as it is";
    pieces.clear();
    EXPECT_EQ(attempt->join(pieces), "");
}

TEST_F(AttemptTest, KeepsTheHeadReadableWhileTheBodyIsRead) {
    const std::string body(300'000, 'z');
    begin([body](BackendConnection& connection) {
        connection.read_request();
        connection.send("HTTP/1.1 100 Continue\r\n\r\n" +
                        test::response(200, body, {{"X-Kept", "value"}}));
        connection.wait_until_gone();
    });
    auto ending = run_to_head();
    ASSERT_FALSE(ending.error);
    std::string storage;
    attempt->keep_head(storage);
    EXPECT_TRUE(storage.starts_with("HTTP/1.1 200")) << storage;
    while (!ending.error && read(ending) == BodyProgress::more) {
    }
    EXPECT_EQ(ending.body, body);
    const auto* kept = attempt->head().fields.find("x-kept");
    ASSERT_NE(kept, nullptr);
    EXPECT_EQ(kept->value, "value");
    EXPECT_TRUE(kept->value.data() >= storage.data() &&
                kept->value.data() < storage.data() + storage.size());
}

TEST_F(AttemptTest, DoesNotUseAKeptConnectionThatTheBackendHasClosed) {
    begin(ScriptedBackend::once_then_close(test::response(200, "hello")));
    EXPECT_EQ(exchange().body, "hello");
    ASSERT_TRUE(rig.turn_until([this] { return rig.pool.idle_connections() == 0; }));
    EXPECT_EQ(exchange().body, "hello");
    EXPECT_FALSE(attempt->reused());
    EXPECT_EQ(backend->connections(), 2U);
}

TEST_F(AttemptTest, ALateTimerOrAbortDoesNotTouchAConnectionThatWasGivenBack) {
    options.timeouts.idle = 1s;
    begin(ScriptedBackend::always(test::response(200, "hello")));
    settings.idle_timeout = 1h;
    exchange();
    rig.pass(2s);
    rig.abort.fire(AbortReason::client_closed);
    rig.settle();
    EXPECT_EQ(rig.pool.idle_connections(), 1U);
    attempt.reset();
    rig.abort.reset();
    EXPECT_EQ(exchange().body, "hello");
    EXPECT_TRUE(attempt->reused());
}

}  // namespace
}  // namespace millrace::gateway
