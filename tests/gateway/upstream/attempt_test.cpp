#include "gateway/upstream/attempt.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "routing/discovery.hpp"
#include "routing/gate.hpp"
#include "tests/gateway/upstream/rig.hpp"
#include "tests/support/no_descriptors.hpp"
#include "tests/support/scripted_backend.hpp"

namespace millrace::gateway {
namespace {

using namespace std::chrono_literals;
using test::BackendConnection;
using test::ScriptedBackend;
using testing_support::Pending;

constexpr std::string_view kRequest = "GET /v1/x HTTP/1.1\r\nHost: h\r\n\r\n";
constexpr std::string_view kChunkedHead = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/// How an attempt ended, seen from outside.
struct Ending {
    std::optional<Error> error;
    int status = 0;
    std::string body;
    bool complete = false;
};

class AttemptTest : public testing::Test {
protected:
    void begin(ScriptedBackend::Script script) {
        backend.emplace(std::move(script));
        go_to(test::loopback(), backend->port());
    }
    void go_to(const std::string& host, std::uint16_t port) {
        endpoint = std::make_unique<routing::EndpointState>(
            routing::EndpointAddress{host, port, false, {}}, 1, std::make_shared<routing::Gate>(1));
    }
    /// The next attempt; the one before it ends.
    Attempt& next() {
        attempt.emplace(rig.loop, rig.pool, rig.abort, options);
        return *attempt;
    }
    Result<void> send(std::string_view request = kRequest) {
        if (auto connected = rig.run(attempt->connect(*endpoint, runtime)); !connected) {
            return connected;
        }
        std::vector<std::string_view> gather{request};
        return rig.run(attempt->send(gather));
    }
    /// Reads one delivery; what it holds is added to `ending`.
    BodyProgress read(Ending& ending) {
        auto progress = rig.run(attempt->read(pieces));
        if (!progress) {
            ending.error = progress.error();
            return BodyProgress::more;
        }
        for (const auto piece : pieces) {
            ending.body += piece;
        }
        ending.complete = *progress == BodyProgress::complete;
        return *progress;
    }
    Ending run_to_head() {
        Ending ending;
        next();
        if (auto sent = send(); !sent) {
            ending.error = sent.error();
        } else if (auto headed = rig.run(attempt->read_head()); !headed) {
            ending.error = headed.error();
        } else {
            ending.status = attempt->head().status;
        }
        return ending;
    }
    /// One whole exchange. The connection goes where it should.
    Ending exchange() {
        auto ending = run_to_head();
        while (!ending.error && !ending.complete) {
            read(ending);
        }
        if (ending.complete) {
            attempt->finish(settings);
        }
        return ending;
    }
    /// Waits until the backend has read the request of an attempt that waits.
    void await_request(std::size_t count = 1) {
        ASSERT_TRUE(rig.turn_until([this, count] { return backend->request_count() >= count; }));
    }
    bool is_code(const Ending& ending, Errc code) const {
        return ending.error && ending.error->code == code;
    }

    testing_support::Rig rig;
    config::Backend settings;
    BackendRuntime runtime{&settings, nullptr, {}, std::make_shared<BackendLearned>()};
    AttemptOptions options;
    std::optional<ScriptedBackend> backend;
    std::unique_ptr<routing::EndpointState> endpoint;
    std::optional<Attempt> attempt;
    std::vector<std::string_view> pieces;
};

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

TEST_F(AttemptTest, ReportsABackendThatCannotBeReached) {
    go_to(test::loopback(), test::free_port());
    auto ending = exchange();
    EXPECT_TRUE(is_code(ending, Errc::upstream_connect_failed));
    EXPECT_NE(ending.error->detail.find("refused"), std::string::npos) << ending.error->detail;
    EXPECT_FALSE(attempt->connected());
    go_to("llm.example", 80);
    ending = exchange();
    EXPECT_TRUE(is_code(ending, Errc::upstream_connect_failed));
}

TEST_F(AttemptTest, DoesNotBlameTheBackendForOurOwnLackOfDescriptors) {
    begin(ScriptedBackend::always("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    {
        const test::NoDescriptors none;
        const auto ending = exchange();
        EXPECT_TRUE(is_code(ending, Errc::server_overloaded));
        EXPECT_EQ(ending.error->origin, Origin::internal);
        EXPECT_NE(ending.error->detail.find("open files"), std::string::npos)
            << ending.error->detail;
    }
    EXPECT_EQ(exchange().status, 200);
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

/// A stream that has begun and then says what the test releases: "1", "2", ….
class StreamTest : public AttemptTest {
protected:
    void begin_stream() {
        begin([](BackendConnection& connection) {
            connection.read_request();
            connection.send(test::stream_head() + test::chunk("data: 0\n\n"));
            for (int i = 1; connection.wait_for(std::to_string(i)); ++i) {
                connection.send(test::chunk("data: " + std::to_string(i) + "\n\n"));
            }
        });
        ending = run_to_head();
        ASSERT_FALSE(ending.error);
        EXPECT_TRUE(attempt->head().is_event_stream);
        read(ending);
        ASSERT_EQ(ending.body, "data: 0\n\n");
    }
    /// The error of a read that waits, once `time` has passed; nullopt while it waits on.
    std::optional<Error> read_for(Duration time) {
        Pending<Result<BodyProgress>> reading(attempt->read(pieces));
        rig.pass(time - 20ms);
        EXPECT_FALSE(reading.done()) << "too soon";
        rig.pass(40ms);
        EXPECT_TRUE(reading.done()) << "too late";
        auto result = rig.finish(reading);
        return result ? std::nullopt : std::optional(result.error());
    }

    Ending ending;
};

TEST_F(StreamTest, AStreamWithoutATokenEndsAtTheFirstTokenLimit) {
    options.is_stream = true;
    options.timeouts.first_token = 5s;
    options.timeouts.idle = 60s;
    begin_stream();
    const auto error = read_for(5s);
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code, Errc::first_token_timeout);
    EXPECT_NE(error->detail.find("5000 ms"), std::string::npos) << error->detail;
}

TEST_F(StreamTest, AfterATokenOnlySilenceCounts) {
    options.is_stream = true;
    options.timeouts.first_token = 5s;
    options.timeouts.idle = 60s;
    begin_stream();
    attempt->content_seen();
    const auto error = read_for(60s);
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code, Errc::idle_timeout);
    EXPECT_NE(error->detail.find("60000 ms"), std::string::npos) << error->detail;
}

TEST_F(StreamTest, EveryByteStartsTheIdleLimitAnew) {
    options.timeouts.idle = 10s;
    begin_stream();
    for (int i = 1; i <= 5; ++i) {
        Pending<Result<BodyProgress>> reading(attempt->read(pieces));
        rig.pass(8s);
        ASSERT_FALSE(reading.done());
        backend->release(std::to_string(i));
        ASSERT_TRUE(rig.finish(reading)) << i;
    }
    const auto error = read_for(10s);
    EXPECT_EQ(error ? error->code : Errc::internal, Errc::idle_timeout);
}

TEST_F(StreamTest, ASlowReaderOnOurSideIsNotASilentBackend) {
    options.timeouts.idle = 10s;
    options.timeouts.first_byte = 15s;
    begin_stream();
    backend->release("1");
    rig.settle();
    rig.pass(30s);  // spent with writing to the client
    read(ending);
    EXPECT_FALSE(ending.error) << ending.error->detail;
    EXPECT_EQ(ending.body, "data: 0\n\ndata: 1\n\n");
}

TEST_F(StreamTest, TheTotalLimitWinsOverLaterOnes) {
    options.timeouts.idle = 60s;
    options.total_deadline = rig.clock.now() + 7s;
    options.total_limit = 7s;
    begin_stream();
    const auto error = read_for(7s);
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code, Errc::total_timeout);
    EXPECT_NE(error->detail.find("7000 ms"), std::string::npos) << error->detail;
}

TEST_F(StreamTest, AnAbortEndsAWaitingReadAtOnceAndClosesTheConnection) {
    begin_stream();
    Pending<Result<BodyProgress>> reading(attempt->read(pieces));
    rig.settle();
    EXPECT_FALSE(reading.done());
    rig.abort.fire(AbortReason::client_closed);
    auto result = rig.finish(reading);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::client_closed);
    EXPECT_EQ(result.error().origin, Origin::downstream);
    attempt.reset();
    EXPECT_EQ(rig.pool.idle_connections(), 0U);
}

TEST_F(StreamTest, WhatTheBackendHasSentAlreadyIsThereAfterAnAbort) {
    begin_stream();
    Pending<Result<BodyProgress>> reading(attempt->read(pieces));
    rig.abort.fire(AbortReason::client_closed);
    ASSERT_FALSE(rig.finish(reading));
    EXPECT_FALSE(attempt->read_available(pieces)) << "nothing yet, and it does not wait";
    const auto before = attempt->bytes_read();
    backend->release("1");
    ASSERT_TRUE(test::eventually([this] { return attempt->read_available(pieces); }));
    EXPECT_EQ(attempt->join(pieces), "data: 1\n\n");
    EXPECT_EQ(attempt->bytes_read(), before + test::chunk("data: 1\n\n").size());
}

TEST_F(AttemptTest, AnAbortEndsEveryStep) {
    const test::NeverAccepting silent;
    const auto address = routing::parse_endpoint_url(silent.url());
    go_to(address->host, address->port);
    next();
    {
        Pending<Result<void>> connecting(attempt->connect(*endpoint, runtime));
        rig.settle();
        EXPECT_FALSE(connecting.done());
        rig.abort.fire(AbortReason::client_closed);
        const auto result = rig.finish(connecting);
        ASSERT_FALSE(result);
        EXPECT_EQ(result.error().code, Errc::client_closed);
    }
    next();  // aborted before it begins
    EXPECT_EQ(rig.run(attempt->connect(*endpoint, runtime)).error().code, Errc::client_closed);
    attempt.reset();
    rig.abort.reset();

    begin([](BackendConnection& connection) {
        connection.read_request();
        connection.wait_until_gone();
    });
    next();
    ASSERT_TRUE(send());
    Pending<Result<void>> head(attempt->read_head());
    await_request();
    rig.abort.fire(AbortReason::drain_deadline);
    const auto result = rig.finish(head);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::drain_deadline);
    attempt.reset();
    EXPECT_TRUE(rig.turn_until([this] { return backend->gone_count() == 1; }));
}

TEST_F(AttemptTest, AnAbortEndsASendThatTheBackendDoesNotRead) {
    begin([](BackendConnection& connection) { connection.wait_for("end"); });
    const std::string large(64 << 20, 'x');
    next();
    ASSERT_TRUE(rig.run(attempt->connect(*endpoint, runtime)));
    pieces = {kRequest, large};
    Pending<Result<void>> sending(attempt->send(pieces));
    rig.settle();
    EXPECT_FALSE(sending.done()) << "the kernel's buffers are full";
    rig.abort.fire(AbortReason::client_closed);
    const auto result = rig.finish(sending);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::client_closed);
    attempt.reset();
    backend->release("end");
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
