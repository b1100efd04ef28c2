#include "gateway/runtime/socket.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <memory>
#include <string>

namespace millrace::gateway {
namespace {

using boost::asio::ip::tcp;

/// Two ends of a loopback connection: ours as a Socket, the peer's as a plain descriptor.
class SocketTest : public testing::Test {
protected:
    void SetUp() override {
        tcp::acceptor acceptor(context, {boost::asio::ip::address_v4::loopback(), 0});
        peer = ::socket(AF_INET, SOCK_STREAM, 0);
        const auto endpoint = acceptor.local_endpoint();
        ASSERT_EQ(::connect(peer, endpoint.data(), static_cast<socklen_t>(endpoint.size())), 0);
        TcpSocket accepted(context);
        acceptor.accept(accepted);
        accepted.non_blocking(true);
        ours = std::make_unique<Socket>(std::move(accepted));
    }
    void TearDown() override {
        ours.reset();
        context.restart();
        context.poll();
        if (peer >= 0) {
            ::close(peer);
        }
    }

    boost::asio::io_context context{1};
    int peer = -1;
    std::unique_ptr<Socket> ours;
};

Task<> read_once(Socket& socket, std::string& out, IoStatus& status) {
    std::array<char, 64> bytes{};
    for (;;) {
        const IoResult result = socket.read_some(bytes.data(), bytes.size());
        status = result.status;
        if (result.status != IoStatus::blocked) {
            out.assign(bytes.data(), result.bytes);
            co_return;
        }
        co_await socket.readable();
        if (!socket.is_open()) {
            co_return;
        }
    }
}

TEST_F(SocketTest, ReadsWhatArrivesAfterWaiting) {
    std::string got;
    IoStatus status{};
    bool done = false;
    spawn(read_once(*ours, got, status), [&done](const std::exception_ptr&) { done = true; });
    EXPECT_FALSE(done);
    ASSERT_EQ(::send(peer, "hello", 5, 0), 5);
    while (!done) {
        context.run_one();
    }
    EXPECT_EQ(got, "hello");
    ::close(peer);
    peer = -1;
    done = false;
    spawn(read_once(*ours, got, status), [&done](const std::exception_ptr&) { done = true; });
    while (!done) {
        context.run_one();
    }
    EXPECT_EQ(status, IoStatus::eof);
}

TEST_F(SocketTest, CloseResumesAWaitingReader) {
    std::string got;
    IoStatus status{};
    bool done = false;
    spawn(read_once(*ours, got, status), [&done](const std::exception_ptr&) { done = true; });
    ours->close();
    while (!done) {
        context.run_one();
    }
    EXPECT_EQ(status, IoStatus::blocked);
}

TEST_F(SocketTest, AWatchedSocketTellsItsListener) {
    int calls = 0;
    ours->set_listener([](void* counter) { ++*static_cast<int*>(counter); }, &calls);
    ours->watch();
    context.poll();
    EXPECT_EQ(calls, 0);
    ASSERT_EQ(::send(peer, "x", 1, 0), 1);
    context.restart();
    context.run_one();
    EXPECT_EQ(calls, 1);
}

TEST_F(SocketTest, DestructionEndsAWatchWithoutTouchingTheSocket) {
    int calls = 0;
    ours->set_listener([](void* counter) { ++*static_cast<int*>(counter); }, &calls);
    ours->watch();
    ours.reset();
    context.run();
    EXPECT_EQ(calls, 0);
}

TEST_F(SocketTest, WritesAGatherListAndReportsABrokenPeer) {
    const std::array<std::string_view, 3> pieces{"one ", "", "two"};
    const IoResult result = ours->write_some(pieces);
    EXPECT_EQ(result.status, IoStatus::ok);
    EXPECT_EQ(result.bytes, 7U);
    std::array<char, 16> bytes{};
    EXPECT_EQ(::recv(peer, bytes.data(), bytes.size(), 0), 7);
    EXPECT_EQ(std::string_view(bytes.data(), 7), "one two");
}

TEST_F(SocketTest, SeesThePeersFinWithoutReading) {
    EXPECT_FALSE(ours->peer_closed());
    ::shutdown(peer, SHUT_WR);
    std::array<char, 1> byte{};
    while (::recv(peer, byte.data(), 0, MSG_DONTWAIT) > 0) {
    }
    EXPECT_TRUE(ours->peer_closed());
}

}  // namespace
}  // namespace millrace::gateway
