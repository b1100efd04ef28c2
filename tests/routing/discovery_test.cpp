#include "routing/discovery.hpp"

#include <gtest/gtest.h>

namespace millrace::routing {
namespace {

TEST(EndpointUrl, ReadsWhatOperatorsWrite) {
    struct Case {
        const char* url;
        const char* host;
        std::uint16_t port;
        bool https;
    };
    for (const auto& c : {Case{"http://127.0.0.1:8001", "127.0.0.1", 8001, false},
                          Case{"http://vllm/", "vllm", 80, false},
                          Case{"https://api.example.com", "api.example.com", 443, true},
                          Case{"http://[::1]:8000", "::1", 8000, false},
                          Case{"https://[fd00::2]", "fd00::2", 443, true}}) {
        const auto address = parse_endpoint_url(c.url);
        ASSERT_TRUE(address) << c.url;
        EXPECT_EQ(address->host, c.host);
        EXPECT_EQ(address->port, c.port);
        EXPECT_EQ(address->https, c.https);
    }
}

TEST(EndpointUrl, RefusesTheRestWithASentence) {
    for (const auto* url :
         {"", "vllm:8000", "ftp://vllm", "http://", "http://:8000", "http://vllm:", "http://vllm:0",
          "http://vllm:65536", "http://vllm:80x", "http://vllm/v1", "http://vllm?x=1",
          "http://u@vllm", "http://[::1", "http://[zz]:1", "http://[::1]8000", "http://a b"}) {
        const auto address = parse_endpoint_url(url);
        ASSERT_FALSE(address) << url;
        EXPECT_NE(address.error().detail.find("http://host:8000"), std::string::npos);
    }
}

TEST(SsrfList, RefusesWhatNamesMustNotResolveTo) {
    for (const auto* address : {"127.0.0.1",
                                "127.9.9.9",
                                "169.254.169.254",
                                "169.254.0.1",
                                "0.0.0.0",
                                "0.1.2.3",
                                "224.0.0.1",
                                "239.255.255.255",
                                "255.255.255.255",
                                "::",
                                "::1",
                                "fd00:ec2::254",
                                "ff02::1",
                                "fe80::1",
                                "fe80::1%eth0",
                                "::ffff:127.0.0.1",
                                "::ffff:169.254.169.254",
                                "64:ff9b::169.254.169.254",
                                "::127.0.0.1",
                                "vllm.svc",
                                ""}) {
        EXPECT_TRUE(refused_address(address)) << address;
    }
    for (const auto* address :
         {"10.0.0.1", "192.168.1.1", "172.16.0.9", "8.8.8.8", "169.253.1.1", "128.0.0.1", "fd00::1",
          "2001:db8::1", "::ffff:10.0.0.1", "fd00:ec2::253", "64:ff9b::10.0.0.1"}) {
        EXPECT_FALSE(refused_address(address)) << address;
    }
}

config::Endpoints dns_endpoints() {
    config::Endpoints endpoints;
    endpoints.dns = config::DnsEndpoints{.name = "vllm.svc", .port = 8000};
    return endpoints;
}

TEST(Discovery, TrustsLiteralAddressesOfTheDocument) {
    config::Endpoints endpoints;
    endpoints.static_urls = {"http://127.0.0.1:8001", "nonsense", "http://169.254.1.1:1"};
    const auto found = discover(endpoints, {}, {});
    ASSERT_EQ(found.endpoints.size(), 2U);
    EXPECT_EQ(found.endpoints[0].url(), "http://127.0.0.1:8001");
    EXPECT_EQ(found.problems.size(), 1U);
}

TEST(Discovery, MakesEveryResolvedAddressAnEndpoint) {
    auto endpoints = dns_endpoints();
    endpoints.static_urls = {"http://10.9.9.9:1"};
    const auto found = discover(endpoints, {"10.0.0.2", "10.0.0.1"}, {});
    ASSERT_EQ(found.endpoints.size(), 3U);
    EXPECT_EQ(found.endpoints[0].host, "10.9.9.9");
    EXPECT_EQ(found.endpoints[1].host, "10.0.0.1");  // sorted: rotation is no change
    EXPECT_EQ(found.endpoints[1].name, "vllm.svc");
    EXPECT_EQ(found.from_dns.size(), 2U);
}

TEST(Discovery, KeepsTheLastGoodAnswer) {
    const auto endpoints = dns_endpoints();
    const auto first = discover(endpoints, {"10.0.0.1"}, {});
    const auto second = discover(endpoints, {}, first.from_dns);
    EXPECT_TRUE(second.kept_last_good);
    EXPECT_EQ(second.endpoints, first.endpoints);
    const auto third = discover(endpoints, {"169.254.169.254"}, second.from_dns);
    EXPECT_TRUE(third.kept_last_good);
    EXPECT_EQ(third.endpoints, first.endpoints);
    ASSERT_EQ(third.problems.size(), 1U);
    EXPECT_EQ(third.problems[0],
              "The name vllm.svc resolves to an address that is not used: 169.254.169.254 is "
              "link-local, where cloud metadata services live.");
}

TEST(Discovery, SkipsTheListWhenTrusted) {
    const auto found = discover(dns_endpoints(), {"127.0.0.1"}, {}, true);
    EXPECT_EQ(found.endpoints.size(), 1U);
    EXPECT_FALSE(discover(dns_endpoints(), {}, {}).kept_last_good);
}

}  // namespace
}  // namespace millrace::routing
