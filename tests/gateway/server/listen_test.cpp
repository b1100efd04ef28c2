#include "gateway/server/listen.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <map>
#include <string>

#include "tests/support/socket.hpp"

namespace millrace::gateway {
namespace {

using test::Fd;

bool is_open(int descriptor) {
    return ::fcntl(descriptor, F_GETFD) >= 0;
}

Listener bound(const std::string& host = test::loopback()) {
    auto listener = Listener::bind({host, 0});
    EXPECT_TRUE(listener) << (listener ? "" : listener.error().detail);
    return listener ? std::move(*listener) : Listener(-1);
}

/// A client gets through to this very listener.
bool serves(const Listener& listener, std::uint16_t port) {
    const Fd client = test::connect_to(test::loopback(), port);
    std::string ignored;
    for (int i = 0; client && i < 1000; ++i) {
        if (const Fd accepted(::accept(listener.native(), nullptr, nullptr)); accepted) {
            return true;
        }
        test::read_some(client, ignored, test::Deadline(test::Millis(1)));
    }
    return false;
}

TEST(Listen, BindsAnyPortAndSaysWhich) {
    const auto listener = bound();
    EXPECT_NE(listener.port(), 0);
    EXPECT_TRUE(serves(listener, listener.port()));
    EXPECT_NE(::fcntl(listener.native(), F_GETFL) & O_NONBLOCK, 0);
    EXPECT_NE(::fcntl(listener.native(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST(Listen, TakesABracketedIpv6Address) {
    auto listener = Listener::bind({"[::1]", 0});
    if (!listener && listener.error().detail.find("not supported") != std::string::npos) {
        GTEST_SKIP() << "no IPv6 here";
    }
    ASSERT_TRUE(listener) << listener.error().detail;
    EXPECT_NE(listener->port(), 0);
}

TEST(Listen, SaysWhereAndWhyItCannot) {
    const auto first = bound();
    const auto second = Listener::bind({test::loopback(), first.port()});
    ASSERT_FALSE(second);
    const auto where = test::loopback() + ":" + std::to_string(first.port());
    EXPECT_NE(second.error().detail.find(where), std::string::npos) << second.error().detail;
    EXPECT_NE(second.error().detail.find("Address already in use"), std::string::npos);
    for (const char* host : {"gateway.example", "300.1.1.1", "203.0.113.250"}) {
        const auto other = Listener::bind({host, 0});
        ASSERT_FALSE(other) << host;
        EXPECT_NE(other.error().detail.find(host), std::string::npos) << other.error().detail;
    }
}

TEST(Listen, OwnsItsDescriptorThroughMoves) {
    int first = -1;
    int second = -1;
    {
        auto a = bound();
        first = a.native();
        auto b = std::move(a);
        EXPECT_EQ(a.native(), -1);
        EXPECT_EQ(b.native(), first);
        auto c = bound();
        second = c.native();
        b = std::move(c);
        EXPECT_EQ(b.native(), second);
        EXPECT_TRUE(is_open(second));
    }
    EXPECT_FALSE(is_open(first));
    EXPECT_FALSE(is_open(second));
}

/// Two ends of a Unix socket.
struct Pair {
    Pair() {
        std::array<int, 2> ends{};
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0);
        a = Fd(ends[0]);
        b = Fd(ends[1]);
    }
    Fd a;
    Fd b;
};

TEST(Listen, SurvivesItsFirstOwnerWhenGivenAway) {
    const Pair pair;
    std::uint16_t port = 0;
    {
        const auto old = bound();
        port = old.port();
        EXPECT_TRUE(old.give_away(pair.a.get()));
        EXPECT_TRUE(serves(old, port)) << "the giver keeps it until it goes";
    }
    const auto heir = Listener::receive(pair.b.get());
    ASSERT_TRUE(heir);
    EXPECT_EQ(heir->port(), port);
    EXPECT_NE(::fcntl(heir->native(), F_GETFD) & FD_CLOEXEC, 0);
    EXPECT_TRUE(serves(*heir, port)) << "no connection attempt was lost";
}

TEST(Listen, ReceivesNothingFromAPeerThatSendsNoneOrIsGone) {
    Pair pair;
    ASSERT_EQ(::send(pair.a.get(), "L", 1, 0), 1);
    EXPECT_FALSE(Listener::receive(pair.b.get()));
    pair.a.reset();
    EXPECT_FALSE(Listener::receive(pair.b.get()));
    EXPECT_FALSE(bound().give_away(pair.b.get()));
}

/// What a service manager hands over: descriptors from kFirst on, and the environment. It begins
/// far above those that the test itself has open.
class InheritedTest : public testing::Test {
protected:
    static constexpr int kFirst = 200;
    static constexpr int kPid = 4242;

    void TearDown() override {
        for (int i = 0; i < 4; ++i) {
            ::close(kFirst + i);
        }
    }
    /// Puts a listener there and returns its port.
    static std::uint16_t hand_over(int index) {
        const auto listener = bound();
        EXPECT_EQ(::dup2(listener.native(), kFirst + index), kFirst + index);
        return listener.port();
    }
    std::optional<Listener> inherit(const std::string& name) const {
        return inherited_listener(
            name,
            [this](const char* key) -> std::optional<std::string> {
                const auto found = environment.find(key);
                return found == environment.end() ? std::nullopt : std::optional(found->second);
            },
            kPid, kFirst);
    }

    std::map<std::string, std::string> environment{{"LISTEN_PID", "4242"}, {"LISTEN_FDS", "1"}};
};

TEST_F(InheritedTest, TheOneDescriptorIsTheDataListenerWithoutNames) {
    const auto port = hand_over(0);
    EXPECT_FALSE(inherit("metrics"));
    const auto listener = inherit("data");
    ASSERT_TRUE(listener);
    EXPECT_EQ(listener->native(), kFirst);
    EXPECT_EQ(listener->port(), port);
    EXPECT_NE(::fcntl(kFirst, F_GETFD) & FD_CLOEXEC, 0) << "not for our own children";
    EXPECT_NE(::fcntl(kFirst, F_GETFL) & O_NONBLOCK, 0);
    EXPECT_TRUE(serves(*listener, port));
}

TEST_F(InheritedTest, FindsADescriptorByItsName) {
    hand_over(0);
    const auto data = hand_over(1);
    const auto admin = hand_over(2);
    environment["LISTEN_FDS"] = "3";
    environment["LISTEN_FDNAMES"] = "metrics:data:admin";
    EXPECT_EQ(inherit("data")->port(), data);
    EXPECT_EQ(inherit("admin")->port(), admin);
    EXPECT_FALSE(inherit("dat"));
    EXPECT_FALSE(inherit("other"));
}

TEST_F(InheritedTest, TakesNothingThatWasMeantForAnotherProcess) {
    hand_over(0);
    for (const char* pid : {"4243", "", "x"}) {
        environment["LISTEN_PID"] = pid;
        EXPECT_FALSE(inherit("data")) << pid;
    }
    environment.erase("LISTEN_PID");
    EXPECT_FALSE(inherit("data"));
}

TEST_F(InheritedTest, TakesNothingBeyondTheCountOrThatDoesNotListen) {
    hand_over(0);
    hand_over(1);
    environment["LISTEN_FDNAMES"] = "other:data";
    EXPECT_FALSE(inherit("data")) << "there is one descriptor, with the first name";
    environment["LISTEN_FDNAMES"] = "data";
    for (const char* count : {"0", "", "x", "-1"}) {
        environment["LISTEN_FDS"] = count;
        EXPECT_FALSE(inherit("data")) << count;
    }
    environment["LISTEN_FDS"] = "1";
    const Fd connected(::socket(AF_INET, SOCK_STREAM, 0));
    ASSERT_EQ(::dup2(connected.get(), kFirst), kFirst);
    EXPECT_FALSE(inherit("data"));
    EXPECT_TRUE(is_open(kFirst)) << "somebody else's: left alone";
    ::close(kFirst);
    EXPECT_FALSE(inherit("data"));
}

}  // namespace
}  // namespace millrace::gateway
