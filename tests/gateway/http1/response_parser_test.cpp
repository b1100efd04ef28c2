#include "gateway/http1/response_parser.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "tests/gateway/http1/rewrite.hpp"

namespace millrace::http1 {
namespace {

using namespace std::string_view_literals;

std::string ok(std::string_view fields) {
    return "HTTP/1.1 200 OK\r\n" + std::string(fields) + "\r\n";
}

void expect_refused(std::string_view bytes, const HeadLimits& limits = {}) {
    ResponseParser parser(limits);
    const auto result = parser.parse(bytes);
    ASSERT_FALSE(result) << bytes.substr(0, 200);
    EXPECT_EQ(result.error().code, Errc::upstream_bad_response) << bytes.substr(0, 200);
    EXPECT_EQ(result.error().origin, Origin::upstream);
    EXPECT_TRUE(result.error().detail.ends_with('.')) << result.error().detail;
}

TEST(ResponseParser, ReadsEveryPartOfAHead) {
    const std::string bytes = ok(
        "Content-Type: Text/Event-Stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\nx_a: b\r\n"
        "server: uvicorn\r\nserver: again\r\n");
    ResponseParser parser;
    ASSERT_EQ(parser.parse(bytes + "rest"), ParseStatus::complete);
    EXPECT_EQ(parser.consumed(), bytes.size());
    ResponseParser again;
    ASSERT_EQ(again.parse(bytes), ParseStatus::complete);
    const auto& head = again.head();
    EXPECT_EQ(head.status, 200);
    EXPECT_EQ(head.reason, "OK");
    EXPECT_EQ(head.minor_version, 1);
    EXPECT_EQ(head.framing.kind, BodyKind::chunked);
    EXPECT_EQ(head.content_type(), "Text/Event-Stream; charset=utf-8");
    EXPECT_TRUE(head.is_event_stream);
    EXPECT_TRUE(head.keep_alive);
    EXPECT_FALSE(head.need_eof);
    EXPECT_EQ(head.fields.size(), 5U);
}

TEST(ResponseParser, RefusesEveryOtherStatusLine) {
    for (const auto line :
         {"HTTP/1.1  200 OK"sv, "HTTP/1.1 20 OK"sv, "HTTP/1.1 2000 OK"sv, "HTTP/1.1 999 X"sv,
          "HTTP/1.1 099 X"sv, "HTTP/1.1 600 X"sv, "HTTP/2.0 200 OK"sv, "HTTP/1.2 200 OK"sv,
          "http/1.1 200 OK"sv, "HTTP/1.1\t200 OK"sv, "HTTP/1.1 200\tOK"sv, "HTTP/1.1 +20 OK"sv,
          "HTTP/1.1"sv, "ICY 200 OK"sv, "HTTP/1.1 200 O\0K"sv, "HTTP/1.1 101 Switching Protocols"sv,
          "HTTP/1.1 200 OK\nX: a"sv, "HTTP/1.1 200 OK\rX"sv}) {
        expect_refused(std::string(line) + "\r\nContent-Length: 0\r\n\r\n");
    }
    expect_refused("\r\n" + ok("Content-Length: 0\r\n"));
}

TEST(ResponseParser, AcceptsAMissingReason) {
    for (const auto line : {"HTTP/1.1 200"sv, "HTTP/1.1 200 "sv}) {
        const std::string bytes = std::string(line) + "\r\nContent-Length: 0\r\n\r\n";
        ResponseParser parser;
        ASSERT_EQ(parser.parse(bytes), ParseStatus::complete);
        EXPECT_EQ(parser.head().reason, "");
    }
}

TEST(ResponseParser, RefusesEveryOtherFieldLine) {
    for (const auto fields :
         {"X: a\r\n    folded\r\n"sv, "X: a\0b\r\n"sv, "X : a\r\n"sv, "NoColon\r\n"sv, "X: a\n"sv,
          "Transfer-Encoding: chunked, gzip\r\n"sv, "Content-Length: -1\r\n"sv,
          "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"sv,
          "Content-Length: 5\r\nContent-Length: 5\r\n"sv,
          "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"sv,
          "Content-Type: a/b\r\nContent-Type: c/d\r\n"sv, "Connection: a b\r\n"sv}) {
        expect_refused(ok(fields));
    }
    expect_refused("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
}

TEST(ResponseParser, KnowsWhetherTheConnectionMayBeUsedAgain) {
    struct Case {
        std::string_view bytes;
        bool to_head;
        BodyKind kind;
        bool keep_alive;
    };
    for (const auto& c : {
             Case{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false, BodyKind::length, true},
             Case{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, BodyKind::none, true},
             Case{"HTTP/1.1 200 OK\r\n\r\n", true, BodyKind::none, true},
             Case{"HTTP/1.1 200 OK\r\n\r\n", false, BodyKind::until_close, false},
             Case{"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", false, BodyKind::none,
                  true},
             Case{"HTTP/1.1 204 No Content\r\n\r\n", false, BodyKind::none, true},
             Case{"HTTP/1.1 204 No\r\nContent-Length: 3\r\n\r\n", false, BodyKind::none, false},
             Case{"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n", false, BodyKind::none,
                  false},
             Case{"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", false,
                  BodyKind::length, false},
             Case{"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", false,
                  BodyKind::length, false},
         }) {
        ResponseParser parser;
        parser.reset(c.to_head);
        ASSERT_EQ(parser.parse(c.bytes), ParseStatus::complete) << c.bytes;
        EXPECT_EQ(parser.head().framing.kind, c.kind) << c.bytes;
        EXPECT_EQ(parser.head().keep_alive, c.keep_alive) << c.bytes;
        EXPECT_EQ(parser.head().need_eof, c.kind == BodyKind::until_close) << c.bytes;
    }
}

TEST(ResponseParser, ShowsInterimResponsesAndStopsAfterEight) {
    const std::string interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    const std::string final = ok("Content-Length: 0\r\n");
    ResponseParser parser;
    for (int i = 0; i < ResponseParser::kMaxInformational; ++i) {
        ASSERT_EQ(parser.parse(interim), ParseStatus::complete);
        EXPECT_TRUE(parser.head().informational());
        EXPECT_EQ(parser.consumed(), interim.size());
    }
    ASSERT_EQ(parser.parse(final), ParseStatus::complete);
    EXPECT_FALSE(parser.head().informational());
    EXPECT_EQ(parser.head().fields.size(), 1U);

    parser.reset();
    for (int i = 0; i < ResponseParser::kMaxInformational; ++i) {
        ASSERT_EQ(parser.parse(interim), ParseStatus::complete);
    }
    EXPECT_FALSE(parser.parse(interim));
}

TEST(ResponseParser, EnforcesLimits) {
    const HeadLimits limits{.start_line = 20, .header_block = 60, .fields = 2};
    expect_refused("HTTP/1.1 200 " + std::string(8, 'r'), limits);
    expect_refused(ok("X: " + std::string(70, 'a')), limits);
    expect_refused(ok("A:\r\nB:\r\nC:\r\n"), limits);
    expect_refused("HTTP/1.1 200 OK\r\nX: " + std::string(70'000, 'a'));
    ResponseParser parser(limits);
    EXPECT_EQ(parser.parse(ok("A:\r\nB:\r\n")), ParseStatus::complete);
}

TEST(ResponseParser, RebasesEveryViewWhenTheBufferMoves) {
    const std::string bytes = ok("Content-Length: 0\r\n");
    ResponseParser parser;
    auto old_buffer = std::make_unique<test::ExactBuffer>(bytes);
    ASSERT_EQ(parser.parse(old_buffer->view()), ParseStatus::complete);
    const test::ExactBuffer new_buffer(old_buffer->view());
    const char* const old_base = old_buffer->view().data();
    old_buffer.reset();
    parser.head().rebase(old_base, new_buffer.view().data());
    EXPECT_EQ(parser.head().reason, "OK");
    EXPECT_EQ(parser.head().value(KnownField::content_length), "0");
    parser.release();
    EXPECT_EQ(parser.parse(bytes), ParseStatus::complete);
}

}  // namespace
}  // namespace millrace::http1
