// The fault proxy between two plain sockets: each toxic does what it says, and nothing else.
#include "tests/support/fault_proxy.hpp"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <thread>

#include <gtest/gtest.h>

namespace millrace::test {
namespace {

struct Ends {
    Fd client;
    Fd server;
};

/// A server whose connections the test plays itself.
class Server {
public:
    std::uint16_t port() const { return local_port(listener_); }

    Ends connect_through(const FaultProxy& proxy) const {
        Ends ends;
        ends.client = connect_to(loopback(), proxy.port());
        pollfd entry{listener_.get(), POLLIN, 0};
        if (::poll(&entry, 1, Deadline(kPatience).left()) == 1) {
            ends.server = Fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        }
        return ends;
    }

private:
    Fd listener_ = listen_on(0);
};

struct Got {
    std::string bytes;
    ReadOutcome outcome = ReadOutcome::data;
};

/// Reads `count` bytes, or to the end when there are fewer.
Got read_up_to(const Fd& socket, std::size_t count, Millis limit = kPatience) {
    const Deadline deadline(limit);
    Got got;
    while (got.bytes.size() < count && got.outcome == ReadOutcome::data) {
        got.outcome = read_some(socket, got.bytes, deadline);
    }
    return got;
}

Got read_to_end(const Fd& socket) {
    return read_up_to(socket, std::string::npos);
}

bool send(const Fd& socket, std::string_view bytes) {
    return write_all(socket, bytes, Deadline(kPatience));
}

std::string pattern(std::size_t size) {
    Random random(size);
    std::string bytes(size, '\0');
    for (auto& byte : bytes) {
        byte = static_cast<char>(random.below(256));
    }
    return bytes;
}

/// Segments with data that have arrived at a socket.
std::size_t segments(const Fd& socket) {
    tcp_info info{};
    socklen_t size = sizeof info;
    ::getsockopt(socket.get(), IPPROTO_TCP, TCP_INFO, &info, &size);
    return info.tcpi_data_segs_in;
}

/// Sends `bytes` from the server and closes it; what the client gets, and the time it took.
Got relay(const FaultProxy& proxy, const Server& server, std::string_view bytes, Millis& took) {
    auto ends = server.connect_through(proxy);
    const auto start = std::chrono::steady_clock::now();
    send(ends.server, bytes);
    ends.server.reset();
    auto got = read_to_end(ends.client);
    took = since(start);
    return got;
}

TEST(FaultProxy, WithoutToxicsPassesBytesAndEndsInBothDirections) {
    const Server server;
    const FaultProxy proxy(server.port());
    const auto bytes = pattern(3'000'000);
    auto ends = server.connect_through(proxy);
    std::thread writer([&] {
        send(ends.client, bytes);
        half_close(ends.client);
    });
    const auto asked = read_to_end(ends.server);
    writer.join();
    EXPECT_EQ(asked.outcome, ReadOutcome::end);
    EXPECT_TRUE(asked.bytes == bytes);
    // The other direction is still open.
    send(ends.server, "answer");
    EXPECT_EQ(read_up_to(ends.client, 6).bytes, "answer");
    EXPECT_EQ(proxy.counters().open, 1U);
    ends.server.reset();
    EXPECT_EQ(read_to_end(ends.client).outcome, ReadOutcome::end);
    EXPECT_TRUE(proxy.wait_until_quiet());
    EXPECT_EQ(proxy.counters().accepted, 1U);
    EXPECT_EQ(proxy.counters().to_server, bytes.size());
    EXPECT_EQ(proxy.counters().to_client, 6U);
}

TEST(FaultProxy, FeelsASlowReaderAndLosesNothingWhenItReadsInTheEnd) {
    const Server server;
    const FaultProxy proxy(server.port());
    auto ends = server.connect_through(proxy);
    const auto bytes = pattern(24'000'000);
    std::thread writer([&] {
        send(ends.client, bytes);
        half_close(ends.client);
    });
    // Everybody is stuck once no byte has moved for a while.
    std::uint64_t before = 1;
    EXPECT_TRUE(
        eventually([&] { return before == std::exchange(before, proxy.counters().to_server); },
                   kPatience, 50ms));
    EXPECT_LT(proxy.counters().to_server, bytes.size());
    const auto got = read_to_end(ends.server);
    writer.join();
    EXPECT_TRUE(got.bytes == bytes);
}

TEST(FaultProxy, DelaysBytesAndTheirEndAndKeepsTheirOrder) {
    const Server server;
    const FaultProxy proxy(server.port(), {.to_client = {.latency = 60ms, .jitter = 20ms}});
    auto ends = server.connect_through(proxy);
    const auto start = std::chrono::steady_clock::now();
    const auto bytes = pattern(500);
    for (std::size_t at = 0; at < bytes.size(); at += 50) {
        send(ends.server, std::string_view(bytes).substr(at, 50));
    }
    EXPECT_EQ(read_up_to(ends.client, 1).bytes.front(), bytes.front());
    EXPECT_GE(since(start), 60ms);
    const auto closed = std::chrono::steady_clock::now();
    ends.server.reset();
    EXPECT_EQ(read_to_end(ends.client).outcome, ReadOutcome::end);
    EXPECT_GE(since(closed), 60ms);
    EXPECT_EQ(proxy.counters().to_client, bytes.size());
    // The other direction has no delay of its own, and jitter does not reorder.
    Millis took{0};
    EXPECT_TRUE(relay(proxy, server, bytes, took).bytes == bytes);
}

TEST(FaultProxy, LimitsBandwidth) {
    const Server server;
    const FaultProxy proxy(server.port(), {.to_client = {.bytes_per_second = 200'000}});
    const auto bytes = pattern(60'000);  // 300 ms worth
    Millis took{0};
    const auto got = relay(proxy, server, bytes, took);
    EXPECT_TRUE(got.bytes == bytes);
    EXPECT_EQ(got.outcome, ReadOutcome::end);
    EXPECT_GE(took, 210ms);
}

TEST(FaultProxy, SlicesIntoSegmentsWithoutChangingTheBytes) {
    const Server server;
    FaultProxy proxy(server.port());
    const auto bytes = pattern(2'000);
    const auto segments_of_transfer = [&] {
        auto ends = server.connect_through(proxy);
        send(ends.server, bytes);
        EXPECT_TRUE(read_up_to(ends.client, bytes.size()).bytes == bytes);
        return segments(ends.client);
    };
    EXPECT_LE(segments_of_transfer(), 4U);
    proxy.set({.to_client = {.slice = 1}});
    EXPECT_GE(segments_of_transfer(), 16U);
    proxy.set({.to_client = {.slice = 2, .slice_delay = 100us}});
    EXPECT_GE(segments_of_transfer(), bytes.size() / 4);
}

TEST(FaultProxy, PausesBetweenSlices) {
    const Server server;
    const FaultProxy proxy(server.port(), {.to_client = {.slice = 10, .slice_delay = 10ms}});
    Millis took{0};
    EXPECT_EQ(relay(proxy, server, std::string(100, 'x'), took).bytes.size(), 100U);
    EXPECT_GE(took, 90ms);
}

TEST(FaultProxy, ClosesSlowly) {
    const Server server;
    const FaultProxy proxy(server.port(), {.to_client = {.slow_close = 80ms}});
    Millis took{0};
    const auto got = relay(proxy, server, "bytes", took);
    EXPECT_EQ(got.bytes, "bytes");
    EXPECT_EQ(got.outcome, ReadOutcome::end);
    EXPECT_GE(took, 80ms);
}

TEST(FaultProxy, SwallowsBytesButNotTheirEnd) {
    const Server server;
    const FaultProxy proxy(server.port(), {.to_server = {.swallow = true}});
    auto ends = server.connect_through(proxy);
    send(ends.client, pattern(2'000'000));
    half_close(ends.client);
    const auto got = read_to_end(ends.server);
    EXPECT_EQ(got.outcome, ReadOutcome::end);
    EXPECT_EQ(got.bytes, "");
    send(ends.server, "answer");
    EXPECT_EQ(read_up_to(ends.client, 6).bytes, "answer");
    EXPECT_EQ(proxy.counters().to_server, 0U);
}

TEST(FaultProxy, LeavesNoHoleWhenItStopsSwallowing) {
    const Server server;
    FaultProxy proxy(server.port());
    auto ends = server.connect_through(proxy);
    send(ends.client, "first");
    EXPECT_EQ(read_up_to(ends.server, 5).bytes, "first");
    proxy.set({.to_server = {.swallow = true}});
    send(ends.client, "lost");
    proxy.set({.to_server = {.swallow = true}});  // has been carried out on what was sent
    proxy.set({});
    send(ends.client, "too late");
    half_close(ends.client);
    const auto got = read_to_end(ends.server);
    EXPECT_EQ(got.bytes, "");
    EXPECT_EQ(got.outcome, ReadOutcome::end);
}

TEST(FaultProxy, KeepsAnEndSecretUntilToldOtherwise) {
    const Server server;
    FaultProxy proxy(server.port(), {.to_client = {.half_open = true}});
    auto closed = server.connect_through(proxy);
    auto died = server.connect_through(proxy);
    send(closed.server, "last words");
    closed.server.reset();
    reset_connection(died.server);
    EXPECT_EQ(read_up_to(closed.client, 10).bytes, "last words");
    EXPECT_EQ(read_up_to(closed.client, 1, 30ms).outcome, ReadOutcome::timeout);
    // Not even what the dead side answers to bytes gives it away.
    EXPECT_TRUE(send(closed.client, "hello?"));
    EXPECT_TRUE(send(died.client, "hello?"));
    EXPECT_EQ(read_up_to(died.client, 1, 30ms).outcome, ReadOutcome::timeout);
    EXPECT_EQ(proxy.counters().open, 2U);
    proxy.set({});
    EXPECT_NE(read_to_end(closed.client).outcome, ReadOutcome::timeout);
    EXPECT_NE(read_to_end(died.client).outcome, ReadOutcome::timeout);
}

TEST(FaultProxy, ResetsBothSidesAfterSoManyBytes) {
    const Server server;
    FaultProxy proxy(server.port());
    const auto bytes = pattern(1'000);
    for (const std::size_t limit : {std::size_t{0}, std::size_t{300}, bytes.size()}) {
        proxy.set({.to_client = {.slice = 70, .reset_after = limit}});
        auto ends = server.connect_through(proxy);
        // Nothing happens before the first byte.
        send(ends.client, "question");
        EXPECT_EQ(read_up_to(ends.server, 8).bytes, "question");
        send(ends.server, bytes);
        const auto got = read_to_end(ends.client);
        EXPECT_EQ(got.outcome, ReadOutcome::reset) << limit;
        EXPECT_EQ(got.bytes, bytes.substr(0, limit)) << limit;
        EXPECT_EQ(read_to_end(ends.server).outcome, ReadOutcome::reset) << limit;
    }
    EXPECT_TRUE(proxy.wait_until_quiet());
}

TEST(FaultProxy, ResetsBothSidesAfterATime) {
    const Server server;
    const FaultProxy proxy(server.port(), {.to_server = {.reset_in = 40ms}});
    const auto start = std::chrono::steady_clock::now();
    auto ends = server.connect_through(proxy);
    send(ends.server, "early");
    const auto got = read_to_end(ends.client);
    EXPECT_GE(since(start), 40ms);
    EXPECT_EQ(got.bytes, "early");
    EXPECT_EQ(got.outcome, ReadOutcome::reset);
    EXPECT_EQ(read_to_end(ends.server).outcome, ReadOutcome::reset);
}

TEST(FaultProxy, ClosesBothSidesAfterSoManyBytes) {
    const Server server;
    FaultProxy proxy(server.port());
    const auto bytes = pattern(1'000);
    for (const std::size_t limit : {std::size_t{0}, std::size_t{300}, bytes.size()}) {
        proxy.set({.to_client = {.close_after = limit}});
        auto ends = server.connect_through(proxy);
        send(ends.server, bytes);
        const auto got = read_to_end(ends.client);
        EXPECT_EQ(got.outcome, ReadOutcome::end) << limit;
        EXPECT_EQ(got.bytes, bytes.substr(0, limit)) << limit;
        EXPECT_EQ(read_to_end(ends.server).outcome, ReadOutcome::end) << limit;
        EXPECT_TRUE(send(ends.server, "more"));
    }
    EXPECT_TRUE(proxy.wait_until_quiet());
    EXPECT_EQ(proxy.counters().to_client, 1'300U);
}

TEST(FaultProxy, PassesAResetOn) {
    const Server server;
    const FaultProxy proxy(server.port());
    auto ends = server.connect_through(proxy);
    reset_connection(ends.client);
    EXPECT_EQ(read_to_end(ends.server).outcome, ReadOutcome::reset);
    ends = server.connect_through(proxy);
    half_close(ends.client);
    EXPECT_EQ(read_to_end(ends.server).outcome, ReadOutcome::end);
    reset_connection(ends.client);
    EXPECT_TRUE(proxy.wait_until_quiet()) << "a reset after a FIN was not noticed";
}

TEST(FaultProxy, RefusesWhileDownAndServesTheSamePortAgain) {
    const Server server;
    FaultProxy proxy(server.port());
    auto open = server.connect_through(proxy);
    for (int i = 0; i < 3; ++i) {
        proxy.down();
        EXPECT_FALSE(connect_to(loopback(), proxy.port()));
        send(open.client, "still here");
        EXPECT_EQ(read_up_to(open.server, 10).bytes, "still here");
        proxy.up();
        auto again = server.connect_through(proxy);
        send(again.client, "back");
        EXPECT_EQ(read_up_to(again.server, 4).bytes, "back");
    }
    EXPECT_EQ(proxy.counters().accepted, 4U);
}

TEST(FaultProxy, ResetsTheClientWhenTheServerRefuses) {
    const FaultProxy proxy(free_port());
    const Fd client = connect_to(loopback(), proxy.port());
    EXPECT_EQ(read_to_end(client).outcome, ReadOutcome::reset);
    EXPECT_TRUE(proxy.wait_until_quiet());
}

TEST(FaultProxy, HandsOutPlansPerConnection) {
    const Server server;
    FaultProxy proxy(server.port(), {.to_client = {.close_after = 3}});
    proxy.choose(FaultProxy::in_order({{}, {.to_client = {.close_after = 1}}}));
    std::vector<std::string> got;
    for (int i = 0; i < 3; ++i) {
        Millis took{0};
        got.push_back(relay(proxy, server, "12345", took).bytes);
    }
    EXPECT_EQ(got, (std::vector<std::string>{"12345", "1", "123"}));
    proxy.choose([](std::size_t connection) -> std::optional<FaultPlan> {
        return connection == 4 ? std::nullopt
                               : std::optional<FaultPlan>({.to_client = {.close_after = 2}});
    });
    for (const auto* expected : {"12", "123", "12"}) {
        Millis took{0};
        EXPECT_EQ(relay(proxy, server, "12345", took).bytes, expected);
    }
}

TEST(FaultProxy, ChangesConnectionsThatAreOpenUnlessTheyHaveTheirOwnPlan) {
    const Server server;
    FaultProxy proxy(server.port());
    proxy.choose(FaultProxy::in_order({FaultPlan{}}));
    auto own = server.connect_through(proxy);
    auto common = server.connect_through(proxy);
    proxy.set({.to_client = {.close_after = 2}});
    for (const auto* ends : {&own, &common}) {
        send(ends->server, "12345");
        half_close(ends->server);
    }
    EXPECT_EQ(read_to_end(own.client).bytes, "12345");
    EXPECT_EQ(read_to_end(common.client).bytes, "12");
}

TEST(FaultProxy, ResetsAllAtOnce) {
    const Server server;
    FaultProxy proxy(server.port());
    const auto first = server.connect_through(proxy);
    const auto second = server.connect_through(proxy);
    proxy.reset_all();
    for (const auto* fd : {&first.client, &first.server, &second.client, &second.server}) {
        EXPECT_EQ(read_to_end(*fd).outcome, ReadOutcome::reset);
    }
    EXPECT_EQ(proxy.counters().open, 0U);
    const auto later = server.connect_through(proxy);
    send(later.client, "1");
    EXPECT_EQ(read_up_to(later.server, 1).bytes, "1");
}

TEST(FaultProxy, ServesManyConnectionsAndClosesThemWhenItGoes) {
    const Server server;
    std::vector<Ends> all;
    {
        const FaultProxy proxy(server.port(), both_ways({.jitter = 2ms, .slice = 7}));
        for (std::size_t i = 0; i < 150; ++i) {
            all.push_back(server.connect_through(proxy));
            send(all.back().client, pattern(300 + i));
            send(all.back().server, pattern(900 + i));
        }
        for (std::size_t i = 0; i < all.size(); ++i) {
            EXPECT_TRUE(read_up_to(all[i].server, 300 + i).bytes == pattern(300 + i)) << i;
            EXPECT_TRUE(read_up_to(all[i].client, 900 + i).bytes == pattern(900 + i)) << i;
        }
        EXPECT_EQ(proxy.counters().open, 150U);
    }
    for (const auto& ends : all) {
        EXPECT_NE(read_to_end(ends.client).outcome, ReadOutcome::timeout);
        EXPECT_NE(read_to_end(ends.server).outcome, ReadOutcome::timeout);
    }
}

}  // namespace
}  // namespace millrace::test
