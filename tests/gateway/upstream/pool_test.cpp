#include "gateway/upstream/pool.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <memory>
#include <string>

#include "tests/gateway/upstream/rig.hpp"
#include "tests/support/socket.hpp"

namespace millrace::gateway {
namespace {

using namespace std::chrono_literals;
using test::Fd;

class PoolTest : public testing::Test {
protected:
    /// A connection whose other end is `peer`.
    std::unique_ptr<Connection> connect(std::uint64_t generation, Fd& peer) {
        auto connection = std::make_unique<Connection>(rig.loop, boost::asio::ip::tcp::v4());
        connection->generation = generation;
        const auto failed = rig.run(connection->socket.connect(
            {boost::asio::ip::make_address(test::loopback()), test::local_port(listener)}));
        EXPECT_FALSE(failed) << failed.message();
        peer = Fd(::accept(listener.get(), nullptr, nullptr));
        EXPECT_TRUE(peer);
        return connection;
    }
    void keep(std::uint64_t generation, Fd& peer, std::size_t max = 10) {
        rig.pool.put(connect(generation, peer), max, 4s);
    }
    static bool is_closed(const Fd& peer) {
        std::string bytes;
        const auto outcome = test::read_some(peer, bytes, test::Deadline(test::kPatience));
        return outcome == test::ReadOutcome::end || outcome == test::ReadOutcome::reset;
    }
    static bool stays_open(const Fd& peer) {
        std::string bytes;
        return test::read_some(peer, bytes, test::Deadline(test::Millis(0))) ==
               test::ReadOutcome::timeout;
    }

    testing_support::Rig rig;
    Fd listener = test::listen_on(0);
};

TEST_F(PoolTest, GivesTheMostRecentlyUsedConnectionFirst) {
    Fd first;
    Fd second;
    auto a = connect(1, first);
    auto b = connect(1, second);
    const auto* old = a.get();
    const auto* recent = b.get();
    rig.pool.put(std::move(a), 10, 4s);
    rig.pool.put(std::move(b), 10, 4s);
    EXPECT_EQ(rig.pool.idle_connections(), 2U);
    const auto one = rig.pool.take(1, nullptr);
    const auto two = rig.pool.take(1, nullptr);
    EXPECT_EQ(one.get(), recent);
    EXPECT_EQ(two.get(), old);
    EXPECT_EQ(rig.pool.take(1, nullptr), nullptr);
    EXPECT_EQ(rig.pool.idle_connections(), 0U);
    EXPECT_TRUE(one->socket.is_open());
    EXPECT_TRUE(stays_open(first));
}

TEST_F(PoolTest, NeverMixesEndpoints) {
    Fd peer;
    keep(1, peer);
    EXPECT_EQ(rig.pool.take(2, nullptr), nullptr);
    EXPECT_NE(rig.pool.take(1, nullptr), nullptr);
}

TEST_F(PoolTest, ClosesAConnectionThatWasVerifiedUnderOtherSettings) {
    Fd peer;
    keep(1, peer);
    config::UpstreamTls settings;
    settings.verify = false;
    const auto tls = TlsClientContext::load(settings);
    ASSERT_TRUE(tls) << tls.error().detail;
    EXPECT_EQ(rig.pool.take(1, tls->get()), nullptr);
    EXPECT_TRUE(is_closed(peer));
    auto connection = connect(1, peer);
    connection->tls = *tls;
    rig.pool.put(std::move(connection), 10, 4s);
    EXPECT_EQ(rig.pool.take(1, nullptr), nullptr);
    EXPECT_TRUE(is_closed(peer));
    connection = connect(1, peer);
    connection->tls = *tls;
    rig.pool.put(std::move(connection), 10, 4s);
    EXPECT_NE(rig.pool.take(1, tls->get()), nullptr);
}

TEST_F(PoolTest, KeepsNoMoreThanAllowedPerEndpoint) {
    Fd first;
    Fd second;
    Fd third;
    keep(1, first, 1);
    keep(1, second, 1);
    keep(2, third, 1);
    EXPECT_EQ(rig.pool.idle_connections(), 2U);
    EXPECT_TRUE(is_closed(second));
    EXPECT_TRUE(stays_open(first));
    Fd none;
    keep(3, none, 0);
    EXPECT_TRUE(is_closed(none));
}

TEST_F(PoolTest, DropsAnIdleConnectionAtTheFirstByteFinOrReset) {
    for (const char* what : {"byte", "fin", "reset"}) {
        Fd left;
        Fd peer;
        Fd right;
        keep(1, left);
        keep(1, peer);
        keep(1, right);
        rig.settle();
        ASSERT_EQ(rig.pool.idle_connections(), 3U) << what;
        if (what == std::string_view("byte")) {
            ASSERT_EQ(::send(peer.get(), "x", 1, 0), 1);
        } else if (what == std::string_view("fin")) {
            test::half_close(peer);
        } else {
            test::reset_connection(peer);
        }
        EXPECT_TRUE(rig.turn_until([this] { return rig.pool.idle_connections() == 2; })) << what;
        if (peer) {
            EXPECT_TRUE(is_closed(peer)) << what;
        }
        rig.pool.clear();
        EXPECT_TRUE(is_closed(left)) << what;
        EXPECT_TRUE(is_closed(right)) << what;
    }
}

TEST_F(PoolTest, DoesNotKeepAConnectionOnWhichSomethingHasArrived) {
    Fd peer;
    auto connection = connect(1, peer);
    ASSERT_EQ(::send(peer.get(), "x", 1, 0), 1);
    ASSERT_TRUE(rig.turn_until([&connection] { return connection->socket.may_read(); }));
    rig.pool.put(std::move(connection), 10, 4s);
    EXPECT_EQ(rig.pool.idle_connections(), 0U);
    EXPECT_TRUE(is_closed(peer));
}

TEST_F(PoolTest, ClosesAnIdleConnectionInTime) {
    Fd peer;
    keep(1, peer);
    rig.pass(3990ms);
    EXPECT_EQ(rig.pool.idle_connections(), 1U);
    EXPECT_TRUE(stays_open(peer));
    rig.pass(30ms);
    EXPECT_EQ(rig.pool.idle_connections(), 0U);
    EXPECT_TRUE(is_closed(peer));
}

TEST_F(PoolTest, LetsGoOfAConnectionThatWasTaken) {
    Fd peer;
    keep(1, peer);
    const auto connection = rig.pool.take(1, nullptr);
    ASSERT_NE(connection, nullptr);
    rig.pass(10s);
    ASSERT_EQ(::send(peer.get(), "answer", 6, 0), 6);
    ASSERT_TRUE(rig.turn_until([&connection] { return connection->socket.may_read(); }));
    EXPECT_TRUE(connection->socket.is_open());
}

TEST_F(PoolTest, CountsIdleTimeAnewAtEveryReturn) {
    Fd peer;
    keep(1, peer);
    rig.pass(3s);
    rig.pool.put(rig.pool.take(1, nullptr), 10, 4s);
    rig.pass(3s);
    EXPECT_EQ(rig.pool.idle_connections(), 1U);
    rig.pass(2s);
    EXPECT_EQ(rig.pool.idle_connections(), 0U);
}

TEST_F(PoolTest, RemembersNothingOfEndpointsThatAreGone) {
    Fd peer;
    for (std::uint64_t generation = 1; generation <= 200; ++generation) {
        keep(generation, peer);
        ASSERT_NE(rig.pool.take(generation, nullptr), nullptr);
        EXPECT_LE(rig.pool.endpoints(), 65U);
    }
    Fd kept;
    keep(1, kept);
    EXPECT_EQ(rig.pool.idle_connections(), 1U);
    EXPECT_TRUE(stays_open(kept));
}

TEST_F(PoolTest, IsCleared) {
    Fd one;
    Fd two;
    keep(1, one);
    keep(2, two);
    rig.pool.clear();
    EXPECT_TRUE(is_closed(one));
    EXPECT_TRUE(is_closed(two));
    EXPECT_EQ(rig.pool.endpoints(), 0U);
}

}  // namespace
}  // namespace millrace::gateway
