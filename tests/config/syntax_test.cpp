#include "config/syntax.hpp"

#include <gtest/gtest.h>

namespace millrace::config {
namespace {

using std::chrono::milliseconds;

TEST(Duration, ReadsTheGatewayApiGrammar) {
    EXPECT_EQ(parse_duration("250ms"), milliseconds(250));
    EXPECT_EQ(parse_duration("10s"), milliseconds(10'000));
    EXPECT_EQ(parse_duration("5m"), milliseconds(300'000));
    EXPECT_EQ(parse_duration("1h30m"), milliseconds(5'400'000));
    EXPECT_EQ(parse_duration("1m5ms"), milliseconds(60'005));
    EXPECT_EQ(parse_duration("0s"), milliseconds(0));
    EXPECT_EQ(parse_duration("0"), milliseconds(0));
    EXPECT_EQ(parse_duration("99999h"), milliseconds(99'999LL * 3'600'000));
}

TEST(Duration, RefusesEverythingElse) {
    for (const auto* text : {"", "10", "s", "1.5s", "-1s", "100000s", "1s ", " 1s", "1d", "1us",
                             "1s1s1s1s1s", "1S", "1ms1"}) {
        EXPECT_FALSE(parse_duration(text)) << text;
    }
}

TEST(Duration, IsPrintedInAFormThatReadsBack) {
    for (const auto* text : {"0s", "250ms", "10s", "1m", "1h30m", "2h3m4s5ms"}) {
        EXPECT_EQ(format_duration(*parse_duration(text)), text);
    }
    EXPECT_EQ(format_duration(std::chrono::seconds(600)), "10m");
}

TEST(Dollars, AreReadToTheMillionth) {
    EXPECT_EQ(parse_dollars("0"), Dollars{0});
    EXPECT_EQ(parse_dollars("3"), Dollars{3'000'000});
    EXPECT_EQ(parse_dollars("0.15"), Dollars{150'000});
    EXPECT_EQ(parse_dollars("999999.000001"), Dollars{999'999'000'001});
    for (const auto* text :
         {"", ".5", "5.", "-1", "1e3", "01", "1.0000001", "1000000", "$1", "1 ", "1,5", "0.1.2"}) {
        EXPECT_FALSE(parse_dollars(text)) << text;
    }
    for (const auto* text : {"0", "3", "0.15", "12.000001", "0.5"}) {
        EXPECT_EQ(format_dollars(*parse_dollars(text)), text);
    }
}

TEST(Size, ReadsBytesAndBinaryUnits) {
    EXPECT_EQ(parse_size("4096"), 4096U);
    EXPECT_EQ(parse_size("64KiB"), 64 * kKiB);
    EXPECT_EQ(parse_size("32MiB"), 32 * kMiB);
    EXPECT_EQ(parse_size("2GiB"), 2048 * kMiB);
    for (const auto* text : {"", "KiB", "1KB", "1 KiB", "1.5MiB", "-1", "0x10", "007",
                             "99999999999999999999", "18446744073709551615KiB"}) {
        EXPECT_FALSE(parse_size(text)) << text;
    }
}

TEST(Size, IsPrintedInAFormThatReadsBack) {
    for (const auto* text : {"0", "1000", "1KiB", "60KiB", "32MiB", "1025"}) {
        EXPECT_EQ(format_size(*parse_size(text)), text);
    }
}

TEST(Identifier, FollowsTheDocumentedPattern) {
    for (const auto* text : {"a", "gpt-4", "meta/llama-3.1:8b@v1+x", "0", "A_b"}) {
        EXPECT_TRUE(is_identifier(text)) << text;
    }
    EXPECT_TRUE(is_identifier(std::string(128, 'a')));
    EXPECT_FALSE(is_identifier(std::string(129, 'a')));
    for (const auto* text : {"", "-a", ".a", "a..b", "a b", "a\n", "ä", "a\"", "/a"}) {
        EXPECT_FALSE(is_identifier(text)) << text;
    }
}

TEST(HostName, IsLabelsWithInnerHyphens) {
    for (const auto* text : {"a", "vllm.ai-inference.svc.cluster.local", "1a"}) {
        EXPECT_TRUE(is_host_name(text)) << text;
    }
    for (const auto* text : {"", ".", "a.", ".a", "-a", "a-", "a..b", "a_b", "a b"}) {
        EXPECT_FALSE(is_host_name(text)) << text;
    }
    EXPECT_FALSE(is_host_name(std::string(64, 'a')));
}

}  // namespace
}  // namespace millrace::config
