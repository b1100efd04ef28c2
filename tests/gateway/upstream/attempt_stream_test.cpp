// Streams, their limits, and aborts in every phase of an attempt.
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

}  // namespace
}  // namespace millrace::gateway
