#include "gateway/adapters/http_client.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <optional>

#include "tests/gateway/adapters/canned_server.hpp"
#include "tests/gateway/tls/certificates.hpp"
#include "tests/support/no_descriptors.hpp"

namespace millrace::gateway {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing_support::CannedServer;

HttpRequest get(const CannedServer& server, const std::string& target = "/") {
    HttpRequest request;
    request.url = "http://127.0.0.1:" + server.port() + target;
    return request;
}

TEST(HttpClient, SendsARequestAndReadsTheAnswer) {
    CannedServer server("HTTP/1.1 201 Created\r\nX-Thing: a\r\nContent-Length: 5\r\n\r\nhello");
    auto request = get(server, "/drain?x=1");
    request.method = "POST";
    request.headers = {{"Authorization", "Bearer t"}};
    request.body = "{}";
    const auto answer = http_exchange(request);
    ASSERT_TRUE(answer) << answer.error().detail;
    EXPECT_EQ(answer->status, 201U);
    EXPECT_EQ(answer->body, "hello");
    EXPECT_THAT(answer->headers, testing::Contains(testing::Pair("X-Thing", "a")));
    const auto& sent = server.received();
    EXPECT_TRUE(sent.starts_with("POST /drain?x=1 HTTP/1.1\r\n")) << sent;
    EXPECT_THAT(sent, HasSubstr("\r\nHost: 127.0.0.1:" + server.port() + "\r\n"));
    EXPECT_THAT(sent, HasSubstr("\r\nAuthorization: Bearer t\r\n"));
    EXPECT_TRUE(sent.ends_with("\r\n\r\n{}"));
}

TEST(HttpClient, ReadsChunkedAndUndelimitedBodies) {
    CannedServer chunked(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    EXPECT_EQ(http_exchange(get(chunked)).value().body, "abcde");
    CannedServer until_close("HTTP/1.0 200 OK\r\n\r\nuntil the end");
    EXPECT_EQ(http_exchange(get(until_close)).value().body, "until the end");
}

TEST(HttpClient, DoesNotFollowRedirects) {
    CannedServer server("HTTP/1.1 302 Found\r\nLocation: http://x/\r\nContent-Length: 0\r\n\r\n");
    EXPECT_EQ(http_exchange(get(server)).value().status, 302U);
}

TEST(HttpClient, GivesUpAtTheDeadline) {
    CannedServer silent("");
    auto request = get(silent);
    request.timeout = 50ms;
    const auto answer = http_exchange(request);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, Errc::total_timeout);
    EXPECT_THAT(answer.error().detail, HasSubstr(request.url));
}

TEST(HttpClient, BoundsTheAnswer) {
    CannedServer server("HTTP/1.1 200 OK\r\n\r\n" + std::string(2000, 'x'));
    auto request = get(server);
    request.max_answer = 1999;
    const auto answer = http_exchange(request);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, Errc::upstream_bad_response);
    EXPECT_THAT(answer.error().detail, HasSubstr("1999"));
}

TEST(HttpClient, ReportsATruncatedAnswerAndARefusedConnection) {
    CannedServer server("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    const auto answer = http_exchange(get(server));
    ASSERT_FALSE(answer);
    EXPECT_THAT(answer.error().detail, HasSubstr("reading the answer"));
    HttpRequest refused;
    refused.url = "http://127.0.0.1:1/";
    EXPECT_THAT(http_exchange(refused).error().detail, HasSubstr("connecting"));
}

TEST(HttpClient, DoesNotBlameTheOtherSideForOurOwnLackOfDescriptors) {
    CannedServer server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    boost::asio::io_context loop;
    const boost::asio::ip::tcp::socket other(loop);  // so that the loop has what it needs itself
    std::optional<Result<HttpAnswer>> answer;
    start_http_exchange(loop, get(server), [&](auto result) { answer = std::move(result); });
    {
        const test::NoDescriptors none;
        loop.run();
    }
    ASSERT_TRUE(answer && !*answer);
    EXPECT_EQ(answer->error().origin, Origin::internal) << answer->error().detail;
}

class HttpsClient : public testing::Test {
protected:
    testing_support::CertificateAuthority authority;
    std::shared_ptr<const TlsServerContext> server_tls = load_server();
    std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret";

    std::shared_ptr<const TlsServerContext> load_server() {
        const auto leaf = authority.issue({.san = "IP:127.0.0.1"});
        config::ListenerTls settings;
        settings.certificate = leaf.certificate;
        settings.key = leaf.key;
        return TlsServerContext::load(settings).value();
    }
    std::shared_ptr<const TlsClientContext> load_client(const std::string& ca) {
        config::UpstreamTls settings;
        settings.ca = ca;
        return TlsClientContext::load(settings).value();
    }
    HttpRequest request(const CannedServer& server) {
        HttpRequest result;
        result.url = "https://127.0.0.1:" + server.port() + "/status";
        return result;
    }
};

TEST_F(HttpsClient, TalksToAVerifiedServer) {
    CannedServer server(answer, server_tls.get());
    const auto client_tls = load_client(authority.file());
    auto https = request(server);
    https.tls = client_tls;
    const auto got = http_exchange(https);
    ASSERT_TRUE(got) << got.error().detail;
    EXPECT_EQ(got->body, "secret");
    EXPECT_TRUE(server.received().starts_with("GET /status HTTP/1.1\r\n"));
}

TEST_F(HttpsClient, SaysNothingToAServerThatItCannotVerify) {
    CannedServer server(answer, server_tls.get());
    const auto got =
        http_exchange(request(server));  // the system's store does not know our authority
    ASSERT_FALSE(got);
    EXPECT_THAT(got.error().detail, HasSubstr("TLS handshake"));
    EXPECT_EQ(server.received(), "");
}

struct UrlCase {
    const char* url;
    const char* host;
    std::uint16_t port;
    const char* target;
};

TEST(HttpUrl, IsTakenApart) {
    for (const auto& c :
         {UrlCase{"http://a", "a", 80, "/"}, UrlCase{"https://a.b/c?d=e#f", "a.b", 443, "/c?d=e"},
          UrlCase{"http://a:8080?x=/y", "a", 8080, "/?x=/y"},
          UrlCase{"http://[::1]:9091/drain", "::1", 9091, "/drain"},
          UrlCase{"https://[2001:db8::1]", "2001:db8::1", 443, "/"}}) {
        const auto url = parse_http_url(c.url);
        ASSERT_TRUE(url) << c.url;
        EXPECT_EQ(url->host, c.host);
        EXPECT_EQ(url->port, c.port);
        EXPECT_EQ(url->target, c.target);
        EXPECT_EQ(url->https, std::string_view(c.url).starts_with("https"));
    }
}

TEST(HttpUrl, IsRefusedWithAReason) {
    for (const char* url : {"", "a", "ftp://a", "http://", "http://:80", "http://a:0", "http://a:x",
                            "http://a:", "http://a:65536", "http://u@a", "http://a/b c",
                            "http://a/\r\nX: y", "http://[]:80"}) {
        const auto parsed = parse_http_url(url);
        ASSERT_FALSE(parsed) << url;
        EXPECT_THAT(parsed.error().detail, HasSubstr("cannot be used"));
    }
}

}  // namespace
}  // namespace millrace::gateway
