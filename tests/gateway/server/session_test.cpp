#include "gateway/server/session.hpp"

#include <gtest/gtest.h>

#include "tests/gateway/server/served.hpp"

namespace millrace::gateway {
namespace {

using namespace std::chrono_literals;
using routing::OverloadSignal;
using test::eventually;

class SessionTest : public testing_support::ServedTest {
protected:
    /// Asks for the list of models; the answer.
    static test::Message ask(test::RawClient& client) {
        client.send(test::request("GET", "/v1/models"));
        return client.read_response().value_or(test::Message{});
    }
};

TEST_F(SessionTest, ClosesItsConnectionAfterAnAnswerWhileTheLadderSaysSo) {
    start();
    auto client = connect();
    EXPECT_FALSE(ask(client).has("connection"));
    overload({0.93, OverloadSignal::connections});
    const auto last = ask(client);
    EXPECT_EQ(last.status(), 200);
    EXPECT_EQ(last.header("connection"), "close");
    EXPECT_TRUE(client.closed_by_peer());
    relax();
    auto next = connect();
    EXPECT_FALSE(ask(next).has("connection"));
}

TEST_F(SessionTest, RefusesRequestsBeforeTheirBodyWhileTheLadderSaysSo) {
    start();
    overload({0.96, OverloadSignal::bytes});
    auto client = connect();
    client.send(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
        "Expect: 100-continue\r\nContent-Length: 1000\r\n\r\n");
    const auto refused = client.read_response();
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->status(), 503);
    EXPECT_EQ(refused->error_code(), "server_overloaded");
    EXPECT_EQ(refused->header("x-millrace-reason"), "server_overloaded");
    EXPECT_EQ(refused->header("x-should-retry"), "true");
    EXPECT_TRUE(refused->has("retry-after"));
    EXPECT_NE(refused->error_message().find("limits.buffered_bytes"), std::string::npos);
    relax();
    auto next = connect();
    EXPECT_EQ(ask(next).status(), 200);
}

TEST_F(SessionTest, NewlyIdleConnectionsWaitAsLongAsTheLadderAllows) {
    world.config.client_timeouts.keep_alive = 2s;
    start();
    overload({0.9, OverloadSignal::connections});  // half, about
    auto client = connect();
    const auto began = std::chrono::steady_clock::now();
    ask(client);
    EXPECT_TRUE(client.closed_by_peer(1900ms * test::kSlowdown));
    EXPECT_GE(std::chrono::steady_clock::now() - began, 900ms);
}

TEST_F(SessionTest, ConnectionsThatAreIdleAlreadyAreShortenedToo) {
    world.config.client_timeouts.keep_alive = 600s;
    start();
    auto idle = connect();
    ask(idle);
    const auto fresh = connect();  // has not asked yet: its time is the header's
    ASSERT_TRUE(eventually([this] { return connections() == 2; }));
    world.config.client_timeouts.keep_alive = 1s;
    world.publish();
    for (const auto& worker : workers) {
        worker->shorten_idle();
    }
    EXPECT_TRUE(idle.closed_by_peer());
    EXPECT_TRUE(eventually([this] { return connections() == 1; }));
}

}  // namespace
}  // namespace millrace::gateway
