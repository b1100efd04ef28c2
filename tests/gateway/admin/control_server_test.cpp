#include "gateway/admin/control_server.hpp"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <csignal>
#include <future>
#include <thread>

namespace millrace::gateway {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

/// A raw client: what the server gets is exactly what the test wrote.
class RawClient {
public:
    explicit RawClient(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
        const timeval limit{10, 0};
        ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        address.sin_port = htons(port);
        EXPECT_EQ(::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    }
    RawClient(const RawClient&) = delete;
    RawClient& operator=(const RawClient&) = delete;
    ~RawClient() { ::close(socket_); }

    RawClient& send(std::string_view text) {
        while (!text.empty()) {
            const auto sent = ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
            if (sent <= 0) {
                break;  // the server has refused already
            }
            text.remove_prefix(static_cast<std::size_t>(sent));
        }
        return *this;
    }

    /// One response: the head and as much body as Content-Length says (none for HEAD).
    std::string response(bool head_only = false) {
        while (!have_response(head_only)) {
            if (!fill()) {
                break;
            }
        }
        const auto size = std::min(size_, buffer_.size());
        auto text = buffer_.substr(0, size);
        buffer_.erase(0, size);
        return text;
    }

    /// Everything until the server closes.
    std::string rest() {
        while (fill()) {
        }
        return std::move(buffer_);
    }

private:
    bool fill() {
        std::array<char, 4096> chunk{};
        const auto got = ::recv(socket_, chunk.data(), chunk.size(), 0);
        if (got <= 0) {
            EXPECT_FALSE(got < 0 && errno == EAGAIN) << "nothing within ten seconds";
            return false;
        }
        buffer_.append(chunk.data(), static_cast<std::size_t>(got));
        return true;
    }

    bool have_response(bool head_only) {
        const auto head = buffer_.find("\r\n\r\n");
        if (head == std::string::npos) {
            return false;
        }
        const auto field = buffer_.find("Content-Length: ");
        const auto length = head_only || field > head ? 0 : std::stoul(buffer_.substr(field + 16));
        size_ = head + 4 + length;
        return buffer_.size() >= size_;
    }

    int socket_;
    std::string buffer_;
    std::size_t size_ = std::string::npos;
};

class ControlServerTest : public testing::Test {
protected:
    ControlServerTest() {
        options.address = {"127.0.0.1", 0};
        options.on_error = [this](const std::string& text) { error.set_value(text); };
    }
    ~ControlServerTest() override {
        if (thread.joinable()) {
            boost::asio::post(context, [this] { server->stop(); });
            thread.join();  // ends only once no connection is left
        }
    }

    std::uint16_t start() {
        auto started = ControlServer::start(context, routes(), options);
        EXPECT_TRUE(started) << (started ? "" : started.error().detail);
        server = std::move(*started);
        thread = std::thread([this] { context.run(); });
        return server->port();
    }

    static std::vector<ControlRoute> routes() {
        return {{"GET", "/hello",
                 [](const ControlRequest&) {
                     ControlResponse response;
                     response.body = "hello";
                     response.content_type = "text/plain";
                     return response;
                 }},
                {"POST", "/echo",
                 [](const ControlRequest& request) {
                     ControlResponse response;
                     response.body = request.body;
                     return response;
                 }},
                {"GET", "/bug", [](const ControlRequest&) -> ControlResponse {
                     throw std::runtime_error("broken handler");
                 }}};
    }

    ControlServerOptions options;
    std::promise<std::string> error;
    boost::asio::io_context context{1};
    std::unique_ptr<ControlServer> server;
    std::thread thread;
};

TEST_F(ControlServerTest, AnswersAndKeepsTheConnection) {
    RawClient client(start());
    for (int i = 0; i < 3; ++i) {
        const auto response = client.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n").response();
        EXPECT_TRUE(response.starts_with("HTTP/1.1 200 OK\r\n")) << response;
        EXPECT_THAT(response, HasSubstr("Content-Type: text/plain\r\n"));
        EXPECT_TRUE(response.ends_with("\r\n\r\nhello")) << response;
    }
    const auto echoed =
        client.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc").response();
    EXPECT_TRUE(echoed.ends_with("\r\n\r\nabc")) << echoed;
    const auto last =
        client.send("GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").rest();
    EXPECT_THAT(last, HasSubstr("Connection: close"));
}

TEST_F(ControlServerTest, AnswersPipelinedRequestsInOrder) {
    RawClient client(start());
    client.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\nGET /nothing HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_TRUE(client.response().starts_with("HTTP/1.1 200"));
    EXPECT_TRUE(client.response().starts_with("HTTP/1.1 404"));
}

TEST_F(ControlServerTest, AnswersHeadWithoutABody) {
    RawClient client(start());
    const auto response = client.send("HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\n").response(true);
    EXPECT_THAT(response, HasSubstr("Content-Length: 5\r\n"));
    EXPECT_TRUE(response.ends_with("\r\n\r\n"));
    EXPECT_TRUE(
        client.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n").response().ends_with("hello"));
}

TEST_F(ControlServerTest, AnswersExpectContinue) {
    RawClient client(start());
    client.send(
        "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    EXPECT_TRUE(client.response().starts_with("HTTP/1.1 100"));
    EXPECT_TRUE(client.send("abc").response().ends_with("abc"));
}

TEST_F(ControlServerTest, BoundsTheHeadAndTheBody) {
    const auto port = start();
    RawClient head(port);
    head.send("GET /hello HTTP/1.1\r\nHost: x\r\nX: " + std::string(9000, 'x') + "\r\n\r\n");
    EXPECT_TRUE(head.rest().starts_with("HTTP/1.1 431"));

    RawClient announced(port);
    announced.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n");
    EXPECT_TRUE(announced.response().starts_with("HTTP/1.1 413"));

    RawClient chunked(port);
    chunked.send("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n100001\r\n" +
                 std::string(0x100001, 'x') + "\r\n0\r\n\r\n");
    EXPECT_TRUE(chunked.response().starts_with("HTTP/1.1 413"));

    RawClient full(port);
    const std::string body(1024 * 1024, 'y');
    full.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n" + body);
    EXPECT_TRUE(full.response().ends_with("\r\n\r\n" + body));
}

TEST_F(ControlServerTest, RefusesWhatIsNotHttp) {
    RawClient client(start());
    EXPECT_TRUE(client.send("\x16\x03\x01 nonsense\r\n\r\n").rest().starts_with("HTTP/1.1 400"));
}

TEST_F(ControlServerTest, ClosesConnectionsThatSayNothingAndThatStopMidway) {
    options.idle = 50ms;
    const auto port = start();
    RawClient silent(port);
    RawClient half(port);
    half.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
    EXPECT_EQ(silent.rest(), "");
    EXPECT_EQ(half.rest(), "");
}

TEST_F(ControlServerTest, BoundsTheNumberOfConnections) {
    options.max_connections = 2;
    const auto port = start();
    const std::string_view request = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";
    auto first = std::make_unique<RawClient>(port);
    RawClient second(port);
    EXPECT_THAT(first->send(request).response(), HasSubstr("200 OK"));
    EXPECT_THAT(second.send(request).response(), HasSubstr("200 OK"));
    RawClient third(port);
    EXPECT_EQ(third.rest(), "");
    // A place that becomes free is given again.
    first->send("GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").rest();
    first.reset();
    std::string answer;
    for (int i = 0; i < 1000 && answer.empty(); ++i) {
        RawClient again(port);
        answer = again.send(request).response();
    }
    EXPECT_THAT(answer, HasSubstr("200 OK"));
}

TEST_F(ControlServerTest, NeedsItsTokenForEverything) {
    options.token = Secret("s3cret");
    const auto port = start();
    for (const char* field : {"", "Authorization: Bearer s3creT\r\n", "Authorization: s3cret\r\n",
                              "Authorization: Bearer s3cret1\r\n", "Authorization: Bearer \r\n",
                              "X-Api-Key: s3cret\r\n"}) {
        for (const char* target : {"/hello", "/nothing"}) {
            RawClient client(port);
            const auto response =
                client
                    .send("GET " + std::string(target) +
                          " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + field + "\r\n")
                    .rest();
            EXPECT_TRUE(response.starts_with("HTTP/1.1 401")) << field << response;
            EXPECT_THAT(response, HasSubstr("www-authenticate: Bearer"));
            EXPECT_FALSE(response.contains("s3cret"));
        }
    }
    RawClient client(port);
    client.send("GET /hello HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer s3cret\r\n\r\n");
    EXPECT_TRUE(client.response().starts_with("HTTP/1.1 200"));
}

TEST_F(ControlServerTest, RefusesAnUnknownCallerBeforeItsBody) {
    options.token = Secret("s3cret");
    RawClient client(start());
    client.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n");
    EXPECT_TRUE(client.response().starts_with("HTTP/1.1 401"));
}

TEST_F(ControlServerTest, RefusesWebPagesWhereItIsToldTo) {
    options.refuse_web_pages = true;
    const auto port = start();
    RawClient page(port);
    page.send("POST /echo HTTP/1.1\r\nHost: x\r\nOrigin: http://evil\r\nContent-Length: 0\r\n\r\n");
    EXPECT_TRUE(page.response().starts_with("HTTP/1.1 403"));
    RawClient tool(port);
    EXPECT_THAT(tool.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n").response(),
                HasSubstr("200 OK"));
}

TEST_F(ControlServerTest, SurvivesAHandlerThatThrows) {
    const auto port = start();
    RawClient client(port);
    EXPECT_EQ(client.send("GET /bug HTTP/1.1\r\nHost: x\r\n\r\n").rest(), "");
    EXPECT_THAT(error.get_future().get(), HasSubstr("broken handler"));
    RawClient other(port);
    EXPECT_THAT(other.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n").response(),
                HasSubstr("200 OK"));
}

TEST_F(ControlServerTest, ReportsAnAddressInUseAndABadOne) {
    options.address.port = start();
    const auto second = ControlServer::start(context, routes(), options);
    ASSERT_FALSE(second);
    EXPECT_THAT(second.error().detail, HasSubstr("Address already in use"));
    options.address.host = "not-an-address";
    EXPECT_THAT(ControlServer::start(context, routes(), options).error().detail,
                HasSubstr("not-an-address"));
}

TEST_F(ControlServerTest, StopsWithConnectionsOpen) {
    const auto port = start();
    RawClient client(port);
    EXPECT_THAT(client.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n").response(),
                HasSubstr("200 OK"));
    boost::asio::post(context, [this] { server->stop(); });
    EXPECT_EQ(client.rest(), "");
    // The fixture joins the loop, which ends only when the session has.
}

}  // namespace
}  // namespace millrace::gateway
