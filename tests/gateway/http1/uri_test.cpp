#include "gateway/http1/uri.hpp"

#include <gtest/gtest.h>

namespace millrace::http1 {
namespace {

using namespace std::string_view_literals;

TEST(Uri, SplitsOriginFormTargets) {
    struct Case {
        std::string_view target;
        std::string_view path;
        std::string_view query;
    };
    for (const auto& c :
         {Case{"/", "/", ""}, Case{"/v1/x", "/v1/x", ""}, Case{"/v1/x?", "/v1/x", ""},
          Case{"/a?b=/../&c=//?d", "/a", "b=/../&c=//?d"},
          Case{"/v1/models/meta%2Fllama", "/v1/models/meta%2Fllama", ""},
          Case{"/a/.well-known/...", "/a/.well-known/...", ""},
          Case{"/a./b..c/.d", "/a./b..c/.d", ""}, Case{"/a?100%", "/a", "100%"},
          Case{"/%2e%2e%2e/%2ea", "/%2e%2e%2e/%2ea", ""}}) {
        const auto parts = parse_origin_form(c.target);
        ASSERT_TRUE(parts) << c.target;
        EXPECT_EQ(parts->path, c.path);
        EXPECT_EQ(parts->query, c.query);
    }
}

TEST(Uri, RefusesTargetsWithASecondReading) {
    for (const auto target :
         {""sv,          "*"sv,         "a"sv,           "http://a/"sv,   "//a"sv,     "/a//b"sv,
          "/a//"sv,      "/."sv,        "/.."sv,         "/./a"sv,        "/../a"sv,   "/a/."sv,
          "/a/.."sv,     "/a/../b?c"sv, "/%2e/a"sv,      "/%2E%2e/a"sv,   "/.%2e"sv,   "/%2e."sv,
          "/a/%2e%2e"sv, "/a/..%2fb"sv, "/a%2f..%2Fb"sv, "/a%2F.."sv,     "/a#b"sv,    "/a?b#c"sv,
          "/a b"sv,      "/a\tb"sv,     "/a\x7f"sv,      "/\x80"sv,       "/a?\xff"sv, "/%00"sv,
          "/a%0ab"sv,    "/a%0Db"sv,    "/a?b=%00"sv,    "/a?%0d%0aX:"sv, "/%"sv,      "/%4"sv,
          "/%zz"sv,      "/a%2"sv}) {
        EXPECT_FALSE(parse_origin_form(target)) << target;
    }
}

TEST(Uri, KnowsValidHosts) {
    for (const auto host : {"gw"sv, "gw:80"sv, "a.b-c_d.example."sv, "127.0.0.1:65535"sv, "[::1]"sv,
                            "[fe80::1]:8080"sv, "GW:0"sv}) {
        EXPECT_TRUE(is_valid_host(host)) << host;
    }
    for (const auto host : {""sv, "###"sv, "a,b"sv, "u@a"sv, "a:65536"sv, "a:"sv, ":80"sv, "a:8x"sv,
                            "a b"sv, "a/b"sv, "a:80:90"sv, "[::1"sv, "[]"sv, "[x::1]"sv,
                            "[1.2.3.4]"sv, "[::1]x"sv, "a:000080"sv, "a%41"sv, "h\xc3\xa9"sv}) {
        EXPECT_FALSE(is_valid_host(host)) << host;
    }
    EXPECT_FALSE(is_valid_host(std::string(256, 'a')));
}

TEST(Uri, DecodesEscapesOnce) {
    EXPECT_EQ(percent_decode("meta%2Fllama%2e1"), "meta/llama.1");
    EXPECT_EQ(percent_decode("%2541"), "%41");
    EXPECT_EQ(percent_decode("%c3%a9"), "\xc3\xa9");
    EXPECT_EQ(percent_decode(""), "");
    for (const auto text : {"%"sv, "a%2"sv, "%g0"sv, "%00"sv, "%0a"sv, "%7f"sv, "%1b"sv}) {
        EXPECT_FALSE(percent_decode(text)) << text;
    }
}

}  // namespace
}  // namespace millrace::http1
