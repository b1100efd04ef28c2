#include "gateway/server/request_states.hpp"

#include <gtest/gtest.h>

#include <string>

namespace millrace::gateway {
namespace {

using http1::ParseStatus;

constexpr std::string_view kHead = "GET /v1/models HTTP/1.1\r\nHost: h\r\n\r\n";

TEST(RequestStates, LendsTheSameStateAgainWithAFreshParser) {
    RequestStates states;
    const config::Config config;
    auto lease = states.get(config);
    const auto* first = lease.get();
    lease->head = "HTTP/1.1 200 OK";
    // Given back in the middle of a head, as when a client leaves.
    EXPECT_EQ(*lease->parser.parse(kHead.substr(0, 20)), ParseStatus::need_more);
    lease.reset();
    lease = states.get(config);
    EXPECT_EQ(lease.get(), first);
    ASSERT_EQ(*lease->parser.parse(kHead), ParseStatus::complete);
    EXPECT_EQ(lease->parser.head().path, "/v1/models");
    EXPECT_EQ(lease->parser.consumed(), kHead.size());
}

TEST(RequestStates, ForgetsAParserThatFailed) {
    RequestStates states;
    const config::Config config;
    auto lease = states.get(config);
    EXPECT_FALSE(lease->parser.parse("GET  / HTTP/1.1\r\n\r\n"));
    lease.reset();
    lease = states.get(config);
    EXPECT_TRUE(lease->parser.parse(kHead));
}

TEST(RequestStates, LendsDifferentStatesAtTheSameTime) {
    RequestStates states;
    const config::Config config;
    const auto a = states.get(config);
    const auto b = states.get(config);
    EXPECT_NE(a.get(), b.get());
}

TEST(RequestStates, FollowsTheConfigurationsLimits) {
    RequestStates states;
    config::Config config;
    states.get(config).reset();

    config.limits.start_line = 64;
    auto lease = states.get(config);
    const auto long_line = "GET /" + std::string(100, 'a') + " HTTP/1.1\r\nHost: h\r\n\r\n";
    auto parsed = lease->parser.parse(long_line);
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.error().code, Errc::uri_too_long);

    config.limits = {};
    config.limits.header_fields = 2;
    lease = states.get(config);
    parsed = lease->parser.parse("GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\nB: 2\r\n\r\n");
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.error().code, Errc::headers_too_large);

    config.limits = {};
    config.limits.header_block = 64;
    lease = states.get(config);
    parsed = lease->parser.parse("GET / HTTP/1.1\r\nHost: h\r\nA: " + std::string(100, 'x') +
                                 "\r\n\r\n");
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.error().code, Errc::headers_too_large);

    lease = states.get(config::Config{});
    EXPECT_TRUE(lease->parser.parse(long_line)) << "and back";
}

TEST(RequestStates, RefusesOrDropsUnderscoresAsConfigured) {
    RequestStates states;
    config::Config config;
    const std::string_view head = "GET / HTTP/1.1\r\nHost: h\r\nA_b: 1\r\n\r\n";
    EXPECT_FALSE(states.get(config)->parser.parse(head));
    config.http.header_underscores = config::Underscores::drop;
    const auto lease = states.get(config);
    ASSERT_EQ(*lease->parser.parse(head), ParseStatus::complete);
    EXPECT_EQ(lease->parser.head().fields.size(), 1U);
}

}  // namespace
}  // namespace millrace::gateway
