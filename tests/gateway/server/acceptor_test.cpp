#include "gateway/server/acceptor.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gateway/server/listen.hpp"
#include "tests/gateway/pipeline/world.hpp"
#include "tests/support/raw_client.hpp"

namespace millrace::gateway {
namespace {

using metrics::testing::value_of;
using test::eventually;
using test::RawClient;

TEST(SourceCounts, AdmitsUpToTheLimitPerSource) {
    SourceCounts counts;
    EXPECT_TRUE(counts.try_add("a", 2));
    EXPECT_TRUE(counts.try_add("a", 2));
    EXPECT_FALSE(counts.try_add("a", 2));
    EXPECT_TRUE(counts.try_add("b", 2)) << "another source has its own count";
    counts.remove("a");
    EXPECT_TRUE(counts.try_add("a", 2));
    EXPECT_FALSE(counts.try_add("a", 2)) << "a refusal counts nothing";
    EXPECT_TRUE(counts.try_add("a", 3)) << "the limit follows the configuration";
}

TEST(SourceCounts, RemovingWhatIsNotThereChangesNothing) {
    SourceCounts counts;
    counts.remove("a");
    EXPECT_TRUE(counts.try_add("a", 1));
    EXPECT_FALSE(counts.try_add("a", 1));
    counts.remove("a");
    counts.remove("a");
    EXPECT_TRUE(counts.try_add("a", 1));
    EXPECT_FALSE(counts.try_add("a", 1));
}

TEST(SourceCounts, IsExactOverThreads) {
    SourceCounts counts;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&counts] {
            for (int n = 0; n < 5000; ++n) {
                if (counts.try_add("a", 3)) {
                    counts.remove("a");
                }
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
    for (int n = 0; n < 3; ++n) {
        EXPECT_TRUE(counts.try_add("a", 3));
    }
    EXPECT_FALSE(counts.try_add("a", 3));
}

/// An acceptor with two workers, on a port of its own.
class AcceptorTest : public testing::Test {
protected:
    void start() {
        world.publish();
        for (std::size_t i = 0; i < 2; ++i) {
            workers.push_back(std::make_unique<Worker>(
                i,
                SharedServices{clock, world.published, world.budget, world.response_ids, nullptr, 1,
                               [](const std::string& bug) { ADD_FAILURE() << bug; }},
                registry.slot(i), 1));
            workers.back()->start();
        }
        acceptor = std::make_unique<Acceptor>(listener->native(), workers, world.published,
                                              registry.slot(2));
        acceptor->start();
    }
    void TearDown() override {
        acceptor.reset();
        workers.clear();
    }
    std::uint32_t connections() const {
        return workers[0]->connections() + workers[1]->connections();
    }
    RawClient connect() const { return RawClient(listener->port()); }

    testing_support::PipelineWorld world;
    SystemClock clock;
    metrics::Registry registry{3};
    Result<Listener> listener = Listener::bind({test::loopback(), 0});
    std::vector<std::unique_ptr<Worker>> workers;
    std::unique_ptr<Acceptor> acceptor;
};

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
