#include "config/address_syntax.hpp"

#include <gtest/gtest.h>

namespace millrace::config {
namespace {

TEST(Address, ReadsHostAndPort) {
    EXPECT_EQ(parse_address("0.0.0.0:8080"), (Address{"0.0.0.0", 8080}));
    EXPECT_EQ(parse_address("[::1]:80"), (Address{"::1", 80}));
    EXPECT_EQ(format_address({"::1", 80}), "[::1]:80");
    for (const auto* text : {"", ":80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "::1:80",
                             "[::1]", "[x]:80", "[]:80", "a:b:80", "127.0.0.1:08"}) {
        EXPECT_FALSE(parse_address(text)) << text;
    }
}

TEST(EndpointUrl, IsSchemeHostAndPortOnly) {
    EXPECT_EQ(parse_endpoint_url("http://127.0.0.1:8001"), (EndpointUrl{false, "127.0.0.1", 8001}));
    EXPECT_EQ(parse_endpoint_url("http://vllm.local"), (EndpointUrl{false, "vllm.local", 80}));
    EXPECT_EQ(parse_endpoint_url("https://vllm/"), (EndpointUrl{true, "vllm", 443}));
    EXPECT_EQ(parse_endpoint_url("https://[::1]:8443"), (EndpointUrl{true, "::1", 8443}));
    EXPECT_EQ(parse_endpoint_url("http://[::1]"), (EndpointUrl{false, "::1", 80}));
    for (const auto* text :
         {"", "127.0.0.1:80", "ftp://a", "http://", "http:///", "http://a/v1", "http://a?x",
          "http://u@a", "http://a:0", "http://a:65536", "http://a:", "http://[::1", "http://[::1]x",
          "http://[a]:1", "http://1.2.3", "http://a b", "HTTP://a"}) {
        EXPECT_FALSE(parse_endpoint_url(text)) << text;
    }
}

TEST(Cidr, ReadsNetworksAndSingleAddresses) {
    const auto ten = parse_cidr("10.0.0.0/8");
    ASSERT_TRUE(ten);
    EXPECT_EQ(ten->prefix, 8);
    EXPECT_EQ(ten->bytes[0], 10);
    EXPECT_FALSE(ten->v6);
    EXPECT_EQ(parse_cidr("192.0.2.1")->prefix, 32);
    EXPECT_EQ(parse_cidr("fd00::/8")->bytes[0], 0xfd);
    EXPECT_EQ(parse_cidr("::1")->prefix, 128);
    EXPECT_TRUE(parse_cidr("0.0.0.0/0"));
    for (const auto* text : {"", "/8", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.1.0.0/8",
                             "10.0.0/8", "fd00::/129", "fd00::1/64", "a/8", "10.0.0.0/08"}) {
        EXPECT_FALSE(parse_cidr(text)) << text;
    }
}

TEST(Loopback, IsTheNetwork127AndOneAddress) {
    EXPECT_TRUE(is_loopback("127.0.0.1"));
    EXPECT_TRUE(is_loopback("127.9.9.9"));
    EXPECT_TRUE(is_loopback("::1"));
    for (const auto* text : {"0.0.0.0", "128.0.0.1", "::", "::2", "localhost", "127.0.0.0/8"}) {
        EXPECT_FALSE(is_loopback(text)) << text;
    }
}

}  // namespace
}  // namespace millrace::config
