#include "gateway/http1/serializer.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace millrace::http1 {
namespace {

using namespace std::string_view_literals;

TEST(Serializer, WritesARequestHead) {
    std::string out = "before|";
    HeadWriter writer(out);
    EXPECT_TRUE(writer.request_line("POST", "/v1/x?a"));
    EXPECT_TRUE(writer.field("host", "gw:80"));
    EXPECT_TRUE(writer.field("x-empty", ""));
    writer.content_length(std::numeric_limits<std::uint64_t>::max());
    writer.chunked();
    writer.close();
    writer.end();
    EXPECT_EQ(out,
              "before|POST /v1/x?a HTTP/1.1\r\nhost: gw:80\r\nx-empty: \r\n"
              "content-length: 18446744073709551615\r\ntransfer-encoding: chunked\r\n"
              "connection: close\r\n\r\n");
}

TEST(Serializer, WritesAStatusLineWithAReason) {
    std::string out;
    HeadWriter writer(out);
    writer.status_line(200);
    writer.status_line(429, "Slow down");
    writer.status_line(598);
    EXPECT_EQ(out, "HTTP/1.1 200 OK\r\nHTTP/1.1 429 Slow down\r\nHTTP/1.1 598 Status\r\n");
}

TEST(Serializer, NeverLetsAValueStartANewLine) {
    std::string out;
    HeadWriter writer(out);
    EXPECT_FALSE(writer.field("x", "a\r\nY: b\0c\x7f"sv));
    EXPECT_TRUE(writer.field("x", "a\tb"));
    writer.status_line(200, "O\r\nK");
    EXPECT_EQ(out, "x: a  Y: b c \r\nx: a\tb\r\nHTTP/1.1 200 O  K\r\n");
}

TEST(Serializer, RefusesNamesAndTargetsThatBreakTheLine) {
    std::string out;
    HeadWriter writer(out);
    for (const auto name : {""sv, "a b"sv, "a:"sv, "a\r\n"sv, "a\0"sv}) {
        EXPECT_FALSE(writer.field(name, "v")) << name;
    }
    for (const auto target : {""sv, "/a b"sv, "/a\r\n"sv, "/\x80"sv}) {
        EXPECT_FALSE(writer.request_line("GET", target)) << target;
    }
    EXPECT_FALSE(writer.request_line("G T", "/"));
    EXPECT_EQ(out, "");
}

TEST(Serializer, WritesChunkHeadersInHex) {
    EXPECT_EQ(ChunkHeader(1).view(), "1\r\n");
    EXPECT_EQ(ChunkHeader(0).view(), "0\r\n");
    EXPECT_EQ(ChunkHeader(0x1fA0).view(), "1fa0\r\n");
    EXPECT_EQ(ChunkHeader(std::numeric_limits<std::uint64_t>::max()).view(),
              "ffffffffffffffff\r\n");
}

}  // namespace
}  // namespace millrace::http1
