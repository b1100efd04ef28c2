#include "gateway/server/acceptor.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <vector>

#include "tests/gateway/server/served.hpp"

namespace millrace::gateway {
namespace {

using metrics::testing::value_of;
using test::eventually;
using test::RawClient;

using AcceptorTest = testing_support::ServedTest;

TEST_F(AcceptorTest, SpreadsConnectionsOverTheWorkers) {
    start();
    std::vector<RawClient> clients;
    for (int i = 0; i < 6; ++i) {
        clients.push_back(connect());
    }
    EXPECT_TRUE(eventually([this] { return connections() == 6; }));
    EXPECT_EQ(workers[0]->connections(), 3U);
    EXPECT_EQ(workers[1]->connections(), 3U);
    clients.clear();
    EXPECT_TRUE(eventually([this] { return connections() == 0; }));
}

TEST_F(AcceptorTest, RefusesAConnectionOverTheListenersLimitBeforeReadingIt) {
    world.config.listeners.data.max_connections = 2;
    start();
    auto first = connect();
    const auto second = connect();
    ASSERT_TRUE(eventually([this] { return connections() == 2; }));
    auto third = connect();
    const auto refused = third.read_response();
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->status(), 503);
    EXPECT_EQ(refused->header("connection"), "close");
    EXPECT_EQ(refused->header("x-millrace-reason"), "server_overloaded");
    EXPECT_EQ(refused->error_code(), "too_many_connections");
    EXPECT_NE(refused->error_message().find("limit of 2 connections"), std::string::npos);
    EXPECT_TRUE(third.closed_by_peer());
    EXPECT_TRUE(eventually([this] {
        return value_of(registry, "millrace_refusals_total", {{"code", "too_many_connections"}}) ==
               1;
    }));
    first.close();
    ASSERT_TRUE(eventually([this] { return connections() == 1; }));
    auto fourth = connect();
    ASSERT_TRUE(fourth.send(test::request("GET", "/v1/models")));
    EXPECT_EQ(fourth.read_response().value_or(test::Message{}).status(), 200)
        << "a place that was given back is taken again";
}

TEST_F(AcceptorTest, LimitsASourceAndGivesItsPlaceBackOnce) {
    world.config.listeners.data.max_connections_per_source = 1;
    start();
    auto first = connect();
    ASSERT_TRUE(eventually([this] { return connections() == 1; }));
    for (int round = 0; round < 2; ++round) {
        auto over = connect();
        const auto refused = over.read_response();
        ASSERT_TRUE(refused);
        EXPECT_EQ(refused->status(), 503);
        EXPECT_NE(refused->error_message().find("max_connections_per_source"), std::string::npos);
    }
    first.close();
    ASSERT_TRUE(eventually([this] { return connections() == 0; }));
    // The count follows when the worker has run its callback.
    EXPECT_TRUE(eventually([this] {
        auto next = connect();
        return next.send(test::request("GET", "/v1/models")) &&
               next.read_response().value_or(test::Message{}).status() == 200;
    }));
}

TEST_F(AcceptorTest, NeverLimitsATrustedProxy) {
    world.config.listeners.data.max_connections_per_source = 1;
    world.config.trust.proxies = {"127.0.0.0/8"};
    start();
    std::vector<RawClient> clients;
    for (int i = 0; i < 4; ++i) {
        clients.push_back(connect());
    }
    EXPECT_TRUE(eventually([this] { return connections() == 4; }));
}

TEST_F(AcceptorTest, LeavesConnectionsToTheKernelOnTheLastStepOfTheLadder) {
    start();
    overload({0.99, routing::OverloadSignal::descriptors});
    auto client = connect();
    EXPECT_TRUE(client.connected()) << "the kernel's queue takes it";
    ASSERT_TRUE(client.send(test::request("GET", "/v1/models")));
    EXPECT_FALSE(client.read_response(std::chrono::milliseconds(300)));
    EXPECT_EQ(connections(), 0U);
    relax();
    EXPECT_EQ(client.read_response().value_or(test::Message{}).status(), 200);
}

TEST_F(AcceptorTest, LeavesWhatItHasNotAcceptedToWhoeverInheritsTheSocket) {
    start();
    acceptor->stop();
    const auto late = connect();
    EXPECT_TRUE(late.connected()) << "the kernel's queue takes it";
    EXPECT_TRUE(eventually(
        [this] { return test::Fd(::accept(listener->native(), nullptr, nullptr)).get() >= 0; }));
    EXPECT_EQ(connections(), 0U);
}

}  // namespace
}  // namespace millrace::gateway
