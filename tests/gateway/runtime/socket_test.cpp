#include "gateway/runtime/socket.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>

#include "gateway/runtime/loop.hpp"

namespace millrace::gateway {
namespace {

/// Two ends of a loopback connection: ours as a Socket, the peer's as a plain descriptor.
class SocketTest : public testing::Test {
protected:
    void SetUp() override {
        const int listening = ::socket(AF_INET, SOCK_STREAM, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof(address);
        ASSERT_EQ(::bind(listening, reinterpret_cast<sockaddr*>(&address), size), 0);
        ASSERT_EQ(::listen(listening, 1), 0);
        ::getsockname(listening, reinterpret_cast<sockaddr*>(&address), &size);
        port = ntohs(address.sin_port);
        peer = ::socket(AF_INET, SOCK_STREAM, 0);
        ASSERT_EQ(::connect(peer, reinterpret_cast<sockaddr*>(&address), size), 0);
        ours =
            std::make_unique<Socket>(loop, ::accept4(listening, nullptr, nullptr, SOCK_NONBLOCK));
        ::close(listening);
    }
    void TearDown() override {
        ours.reset();
        loop.turn(Duration(0));
        if (peer >= 0) {
            ::close(peer);
        }
    }
    /// Runs the loop until `done`, at most some seconds.
    void run_until(const bool& done) {
        for (int i = 0; i < 1000 && !done; ++i) {
            loop.turn(std::chrono::milliseconds(10));
        }
    }

    SystemClock clock;
    Loop loop{clock, 1, [](Duration) {}};
    std::uint16_t port = 0;
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
    run_until(done);
    EXPECT_EQ(got, "hello");
    ::close(peer);
    peer = -1;
    done = false;
    spawn(read_once(*ours, got, status), [&done](const std::exception_ptr&) { done = true; });
    run_until(done);
    EXPECT_EQ(status, IoStatus::eof);
}

TEST_F(SocketTest, CloseResumesAWaitingReader) {
    std::string got;
    IoStatus status{};
    bool done = false;
    spawn(read_once(*ours, got, status), [&done](const std::exception_ptr&) { done = true; });
    ours->close();
    run_until(done);
    EXPECT_EQ(status, IoStatus::blocked);
}

TEST_F(SocketTest, TellsItsListenerWhenNobodyWaits) {
    bool told = false;
    ours->set_listener([](void* flag) { *static_cast<bool*>(flag) = true; }, &told);
    loop.turn(Duration(0));
    EXPECT_FALSE(told);
    ASSERT_EQ(::send(peer, "x", 1, 0), 1);
    run_until(told);
    EXPECT_TRUE(told);
    EXPECT_TRUE(ours->may_read());
}

TEST_F(SocketTest, DestructionWithAWakeUpOnItsWayIsHarmless) {
    std::string got;
    IoStatus status{};
    bool done = false;
    spawn(read_once(*ours, got, status), [&done](const std::exception_ptr&) { done = true; });
    ours->cancel();
    ours->close();
    run_until(done);
    ours.reset();
    loop.turn(Duration(0));
}

Task<> connect_to(Socket& socket, std::uint16_t port, std::error_code& result) {
    result = co_await socket.connect({boost::asio::ip::address_v4::loopback(), port});
}

TEST_F(SocketTest, ConnectReportsSuccessRefusalAndCancellation) {
    const int listening = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    ASSERT_EQ(::bind(listening, reinterpret_cast<sockaddr*>(&address), size), 0);
    ::getsockname(listening, reinterpret_cast<sockaddr*>(&address), &size);
    for (const bool listens : {false, true}) {
        if (listens) {
            ::listen(listening, 1);
        }
        Socket socket(loop, boost::asio::ip::tcp::v4());
        std::error_code result;
        bool done = false;
        spawn(connect_to(socket, ntohs(address.sin_port), result),
              [&done](const std::exception_ptr&) { done = true; });
        run_until(done);
        EXPECT_EQ(!result, listens) << result.message();
    }
    ::close(listening);
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
    bool told = false;
    ours->set_listener([](void* flag) { *static_cast<bool*>(flag) = true; }, &told);
    EXPECT_FALSE(ours->peer_closed());
    ASSERT_EQ(::send(peer, "last words", 10, 0), 10);
    ::shutdown(peer, SHUT_WR);
    for (int i = 0; i < 1000 && !ours->peer_closed(); ++i) {
        loop.turn(std::chrono::milliseconds(10));
    }
    EXPECT_TRUE(ours->peer_closed());
    std::array<char, 64> bytes{};
    EXPECT_EQ(ours->read_some(bytes.data(), bytes.size()).bytes, 10U);
    EXPECT_EQ(ours->read_some(bytes.data(), bytes.size()).status, IoStatus::eof);
}

}  // namespace
}  // namespace millrace::gateway
