#include "gateway/pipeline/trusted_proxies.hpp"

#include <gtest/gtest.h>

namespace millrace::gateway {
namespace {

TEST(TrustedProxies, ContainWhatLiesInTheirNetworks) {
    struct Case {
        std::string network;
        std::string_view address;
        bool contained;
    };
    const Case cases[] = {
        {"10.0.0.0/8", "10.255.255.255", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.1.2.3", "10.1.2.3", true},
        {"10.1.2.3", "10.1.2.4", false},
        {"10.1.2.3/32", "10.1.2.2", false},
        {"192.168.4.0/22", "192.168.7.255", true},
        {"192.168.4.0/22", "192.168.8.0", false},
        {"192.168.4.0/22", "192.168.3.255", false},
        {"192.168.4.0/22", "192.168.4.1", true},  // host bits do not matter
        {"10.0.0.128/25", "10.0.0.127", false},
        {"10.0.0.128/25", "10.0.0.128", true},
        {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"2001:db8::/32", "2001:db8:ffff::1", true},
        {"2001:db8::/32", "2001:db9::1", false},
        {"2001:db8::/33", "2001:db8:8000::1", false},
        {"::/0", "2001:db8::1", true},
        {"::1", "::1", true},
        {"::1", "::2", false},
        {"fe80::1/128", "fe80::1", true},
        {"10.0.0.0/8", "::ffff:10.0.0.1", true},  // the same host, seen on a dual-stack socket
        {"::ffff:10.0.0.0/104", "10.9.9.9", true},
        {"10.0.0.0/8", "", false},
        {"10.0.0.0/8", "proxy.example", false},
        {"10.0.0.0/8", "10.0.0.1:80", false},
    };
    for (const auto& c : cases) {
        EXPECT_EQ(TrustedProxies::parse({c.network}).contains(c.address), c.contained)
            << c.address << " in " << c.network;
    }
}

TEST(TrustedProxies, AnyNetworkOfTheListSuffices) {
    const auto proxies = TrustedProxies::parse({"10.0.0.0/8", "2001:db8::/32"});
    EXPECT_TRUE(proxies.contains("10.1.1.1"));
    EXPECT_TRUE(proxies.contains("2001:db8::1"));
    EXPECT_FALSE(proxies.contains("192.0.2.1"));
}

TEST(TrustedProxies, TrustNobodyWhenNoneAreNamed) {
    const TrustedProxies none;
    EXPECT_TRUE(none.empty());
    EXPECT_FALSE(none.contains("127.0.0.1"));
}

TEST(TrustedProxies, LeaveOutWhatDoesNotParseInsteadOfWideningIt) {
    for (const char* bad : {"", "/8", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "10.0.0.0/x",
                            "2001:db8::/129", "proxy.example", "10.0.0/8", "256.0.0.1"}) {
        EXPECT_TRUE(TrustedProxies::parse({bad}).empty()) << bad;
    }
}

TEST(TrustedProxies, ANetworkWithTrailingTextIsNoNetwork) {
    EXPECT_TRUE(TrustedProxies::parse({"10.0.0.0/1x6"}).empty());
}

}  // namespace
}  // namespace millrace::gateway
