#include "gateway/http1/head_parser.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "tests/gateway/http1/rewrite.hpp"

namespace millrace::http1 {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kHost = "Host: gw\r\n";

std::string get(std::string_view target) {
    return "GET " + std::string(target) + " HTTP/1.1\r\nHost: gw\r\n\r\n";
}

std::string with(std::string_view fields) {
    return "POST /v1/x HTTP/1.1\r\nHost: gw\r\n" + std::string(fields) + "\r\n";
}

struct Refusal {
    std::string bytes;
    Errc code;
};

void expect_refused(const std::vector<Refusal>& cases, const HeadLimits& limits = {}) {
    for (const auto& c : cases) {
        HeadParser parser(limits);
        const auto result = parser.parse(c.bytes);
        ASSERT_FALSE(result) << c.bytes.substr(0, 200);
        EXPECT_EQ(to_string(result.error().code), to_string(c.code)) << c.bytes.substr(0, 200);
        EXPECT_EQ(result.error().origin, Origin::downstream);
        EXPECT_TRUE(result.error().detail.ends_with('.')) << result.error().detail;
    }
}

void expect_accepted(std::string_view bytes) {
    HeadParser parser;
    const auto result = parser.parse(bytes);
    ASSERT_TRUE(result) << bytes << ": " << result.error().detail;
    EXPECT_EQ(*result, ParseStatus::complete) << bytes;
}

TEST(HeadParser, ReadsEveryPartOfAHead) {
    const std::string bytes =
        "POST /v1/chat/completions?a=b&c=%20?d HTTP/1.1\r\nHost: gw:8080\r\nX-Model-ID:\t llama "
        "\t\r\n"
        "X-Other: \xc3\xa9\t x\r\ncontent-length: 5\r\nEmpty:\r\nExpect: 100-Continue\r\n\r\nhello";
    HeadParser parser;
    ASSERT_EQ(parser.parse(bytes), ParseStatus::complete);
    EXPECT_EQ(parser.consumed(), bytes.size() - 5);
    const auto& head = parser.head();
    EXPECT_EQ(head.method, Method::post);
    EXPECT_EQ(head.method_text, "POST");
    EXPECT_EQ(head.minor_version, 1);
    EXPECT_EQ(head.target, "/v1/chat/completions?a=b&c=%20?d");
    EXPECT_EQ(head.path, "/v1/chat/completions");
    EXPECT_EQ(head.query, "a=b&c=%20?d");
    EXPECT_EQ(head.fields.size(), 6U);
    EXPECT_EQ(head.value(KnownField::x_model_id), "llama");
    EXPECT_EQ(head.fields.find("x-OTHER")->value, "\xc3\xa9\t x");
    EXPECT_EQ(head.fields.find("empty")->value, "");
    EXPECT_EQ(head.find(KnownField::authorization), nullptr);
    EXPECT_EQ(head.framing, (Framing{BodyKind::length, 5}));
    EXPECT_TRUE(head.keep_alive);
    EXPECT_TRUE(head.expect_continue);
    EXPECT_FALSE(head.upgrade);
    EXPECT_FALSE(head.connection_names_fields);
}

TEST(HeadParser, ViewsPointIntoTheCallersBuffer) {
    const std::string bytes = get("/v1/models");
    HeadParser parser;
    ASSERT_EQ(parser.parse(bytes), ParseStatus::complete);
    EXPECT_EQ(parser.head().target.data(), bytes.data() + 4);
    EXPECT_EQ(parser.head().value(KnownField::host).data(), bytes.data() + bytes.find("gw"));
}

TEST(HeadParser, SkipsAtMostTwoEmptyLinesFirst) {
    HeadParser parser;
    const std::string bytes = "\r\n\r\n" + get("/");
    ASSERT_EQ(parser.parse(bytes), ParseStatus::complete);
    EXPECT_EQ(parser.consumed(), bytes.size());
    expect_refused({{"\r\n\r\n\r\n" + get("/"), Errc::bad_request_line},
                    {"\n" + get("/"), Errc::bad_request_line},
                    {"\rGET / HTTP/1.1\r\n", Errc::bad_request_line}});
}

TEST(HeadParser, RefusesABadFirstByteAtOnce) {
    for (const auto first : {"\x16\x03\x01"sv, " "sv, "\0"sv, "\t"sv, "("sv, "\x80"sv}) {
        expect_refused({{std::string(first), Errc::bad_request_line}});
    }
}

TEST(HeadParser, RefusesEveryOtherRequestLine) {
    const std::string rest = "\r\n" + std::string(kHost) + "\r\n";
    std::vector<Refusal> cases;
    for (const auto line : {"GET / "sv,
                            "GET /"sv,
                            "GET"sv,
                            "GET  / HTTP/1.1"sv,
                            "GET / HTTP/1.1 "sv,
                            "GET /  HTTP/1.1"sv,
                            "GET / HTTP/01.1"sv,
                            "GET / HTTP/1.2"sv,
                            "GET / http/1.1"sv,
                            "GET / HTTP/1"sv,
                            "GET / HTTP/1.1.1"sv,
                            "GET / HTTP/a.1"sv,
                            "GET\t/\tHTTP/1.1"sv,
                            "GET /foo bar/ HTTP/1.1"sv,
                            "G\0T / HTTP/1.1"sv,
                            "GET /\0 HTTP/1.1"sv,
                            "Extra lineGET / HTTP/1.1"sv,
                            "G(T / HTTP/1.1"sv,
                            "GET / HTTP/1.1\rX"sv,
                            "GET / HTTP/1.1\nHost: gw"sv,
                            "GET /\x7f HTTP/1.1"sv}) {
        cases.push_back({std::string(line) + rest, Errc::bad_request_line});
    }
    for (const auto line : {"GET / HTTP/9.9"sv, "PRI * HTTP/2.0"sv, "GET / HTTP/0.9"sv}) {
        cases.push_back({std::string(line) + rest, Errc::unsupported_http_version});
    }
    for (const auto line : {"CONNECT evil:443 HTTP/1.1"sv, "TRACE / HTTP/1.1"sv, "PUT / HTTP/1.1"sv,
                            "get / HTTP/1.1"sv, "POS / HTTP/1.1"sv}) {
        cases.push_back({std::string(line) + rest, Errc::method_not_allowed});
    }
    expect_refused(cases);
}

TEST(HeadParser, RefusesABadRequestLineBeforeTheHeadIsComplete) {
    expect_refused({{"GET /\r\n", Errc::bad_request_line},
                    {"TRACE / HTTP/1.1\r\n", Errc::method_not_allowed},
                    {"GET / HTTP/1.1\n", Errc::bad_request_line}});
}

TEST(HeadParser, AcceptsTheAllowedMethods) {
    for (const auto method : {"GET"sv, "POST"sv, "HEAD"sv, "OPTIONS"sv, "DELETE"sv}) {
        const std::string bytes = std::string(method) + " /v1/x HTTP/1.1\r\nHost: gw\r\n\r\n";
        HeadParser parser;
        ASSERT_EQ(parser.parse(bytes), ParseStatus::complete);
        EXPECT_EQ(to_string(parser.head().method), method);
    }
}

TEST(HeadParser, RefusesTargetsThatAreNotPlainPaths) {
    std::vector<Refusal> cases;
    for (const auto target : {"v1/x"sv, "http://gw/v1/x"sv, "*"sv, "/v1/x#frag"sv, "//x"sv,
                              "/a/../b"sv, "/%00"sv, "/caf\xc3\xa9"sv, "/a\tb"sv, "?a"sv}) {
        cases.push_back({get(target), Errc::bad_target});
    }
    expect_refused(cases);
    expect_accepted("OPTIONS * HTTP/1.1\r\nHost: gw\r\n\r\n");
}

TEST(HeadParser, WantsExactlyOneValidHost) {
    const std::string line = "GET / HTTP/1.1\r\n";
    expect_refused({{line + "\r\n", Errc::bad_host},
                    {line + "Host: gw\r\nHost: gw\r\n\r\n", Errc::bad_host},
                    {line + "Host:\r\n\r\n", Errc::bad_host},
                    {line + "Host: gw, gw2\r\n\r\n", Errc::bad_host},
                    {line + "Host: u@gw\r\n\r\n", Errc::bad_host},
                    {line + "Host: gw:65536\r\n\r\n", Errc::bad_host},
                    {"GET / HTTP/1.0\r\nHost: ###\r\n\r\n", Errc::bad_host}});
    expect_accepted("GET / HTTP/1.0\r\n\r\n");
}

TEST(HeadParser, RefusesEveryOtherFieldLine) {
    std::vector<Refusal> cases;
    for (const auto field : {"X : a\r\n"sv,
                             "X: a\r\n b\r\n"sv,
                             "\tX: y\r\n"sv,
                             " X: y\r\n"sv,
                             "X-Invalid[]: t\r\n"sv,
                             "NoColon\r\n"sv,
                             ": v\r\n"sv,
                             "X\x85: v\r\n"sv,
                             "X: a\0b\r\n"sv,
                             "X: a\x01\r\n"sv,
                             "X: \x7f\r\n"sv,
                             "X: a\nY: b\r\n"sv,
                             "X: a\rY: b\r\n"sv,
                             "\rX: y\r\n"sv,
                             "X\r: y\r\n"sv,
                             "X\0: y\r\n"sv,
                             "X: \x0b\r\n"sv,
                             "Transfer-\r\nEncoding: chunked\r\n"sv,
                             "x_model_id: a\r\n"sv,
                             "A-Name-Of-More-Than-16 : a\r\n"sv,
                             "A-Name-Of-More-Than-16-Characters\r\n"sv}) {
        cases.push_back({with(field), Errc::bad_header});
    }
    expect_refused(cases);
}

TEST(HeadParser, DropsUnderscoresWhenAsked) {
    const std::string bytes =
        with("x_model_id: a\r\nTransfer_Encoding: chunked\r\nX-Model-Id: b\r\n");
    HeadParser parser({.drop_underscores = true});
    ASSERT_EQ(parser.parse(bytes), ParseStatus::complete);
    EXPECT_EQ(parser.head().fields.size(), 2U);
    EXPECT_EQ(parser.head().value(KnownField::x_model_id), "b");
    EXPECT_EQ(parser.head().framing.kind, BodyKind::none);
}

TEST(HeadParser, RefusesRepeatedSingletons) {
    std::vector<Refusal> cases;
    for (const auto name : {"authorization"sv, "Content-Type"sv, "x-model-id"sv, "x-api-key"sv,
                            "x-request-id"sv, "expect"sv, "content-encoding"sv}) {
        const std::string field = std::string(name) + ": 100-continue\r\n";
        cases.push_back({with(field + "a: b\r\n" + field), Errc::duplicate_header});
    }
    expect_refused(cases);
    expect_accepted(with("accept: a\r\naccept: b\r\nx-other: 1\r\nx-other: 2\r\n"));
}

TEST(HeadParser, RefusesContradictingFraming) {
    expect_refused({
        {with("Content-Length: 5\r\nContent-Length: 5\r\n"), Errc::bad_framing},
        {with("Content-Length: \r\nContent-Length: 5\r\n"), Errc::bad_framing},
        {with("Content-Length: -1\r\n"), Errc::bad_framing},
        {with("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), Errc::bad_framing},
        {with("Content-Length: 5\r\nTransfer-Encoding: gzip\r\n"), Errc::bad_framing},
        {with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), Errc::bad_framing},
        {with("Transfer-Encoding: gzip\r\n"), Errc::unsupported_transfer_coding},
        {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", Errc::bad_framing},
    });
}

TEST(HeadParser, RefusesConnectionThatNamesProtectedFields) {
    std::vector<Refusal> cases;
    for (const auto value :
         {"Content-Length, Authorization"sv, "close, x-api-key"sv, "HOST"sv, "x-millrace-tenant"sv,
          "x-model-id"sv, "x-forwarded-for"sv, "a b"sv, "close;q=1"sv}) {
        cases.push_back({with("Connection: " + std::string(value) + "\r\n"), Errc::bad_header});
    }
    std::string many = "Connection: a";
    for (int i = 0; i < 32; ++i) {
        many += ",a";
    }
    cases.push_back({with(many + "\r\n"), Errc::bad_header});
    expect_refused(cases);
}

TEST(HeadParser, KnowsWhenTheConnectionEnds) {
    struct Case {
        std::string bytes;
        bool keep_alive;
    };
    for (const auto& c : {Case{with(""), true}, Case{with("Connection: keep-alive\r\n"), true},
                          Case{with("Connection: Close\r\n"), false},
                          Case{with("Connection: , upgrade,close\r\nUpgrade: h2c\r\n"), false},
                          Case{with("Connection: a\r\nConnection: close\r\n"), false},
                          Case{"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", false},
                          Case{"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n", false},
                          Case{"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", true}}) {
        HeadParser parser;
        ASSERT_EQ(parser.parse(c.bytes), ParseStatus::complete) << c.bytes;
        EXPECT_EQ(parser.head().keep_alive, c.keep_alive) << c.bytes;
    }
}

TEST(HeadParser, ReadsExpectAndUpgrade) {
    expect_refused({{with("Expect: 200-ok\r\n"), Errc::unsupported_expectation}});
    HeadParser parser;
    const std::string no_body =
        with("Expect: 100-continue\r\nConnection: upgrade\r\nUpgrade: h2c\r\n");
    ASSERT_EQ(parser.parse(no_body), ParseStatus::complete);
    EXPECT_FALSE(parser.head().expect_continue);
    EXPECT_TRUE(parser.head().upgrade);
    parser.reset();
    const std::string old = "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n";
    ASSERT_EQ(parser.parse(old), ParseStatus::complete);
    EXPECT_FALSE(parser.head().expect_continue);
    EXPECT_FALSE(parser.head().upgrade);
}

TEST(HeadParser, EnforcesLimitsToTheByte) {
    const HeadLimits limits{.start_line = 20, .header_block = 40, .fields = 3};
    const auto head = [](std::size_t target, std::size_t value) {
        return "GET /" + std::string(target, 'a') +
               " HTTP/1.1\r\nHost: gw\r\nX: " + std::string(value, 'b') + "\r\n\r\n";
    };
    HeadParser fits(limits);
    EXPECT_EQ(fits.parse(head(6, 23)), ParseStatus::complete);
    expect_refused({{head(7, 23), Errc::uri_too_long},
                    {head(6, 24), Errc::headers_too_large},
                    {std::string(21, 'G'), Errc::uri_too_long},
                    {"GET / HTTP/1.1\r\n" + std::string(39, 'x'), Errc::headers_too_large},
                    {"GET / HTTP/1.1\r\nHost: a\r\nA:\r\nB:\r\nC:\r\n", Errc::headers_too_large}},
                   limits);
    HeadParser more(limits);
    EXPECT_EQ(more.parse(std::string(20, 'G')), ParseStatus::need_more);
    HeadParser three(limits);
    EXPECT_EQ(three.parse("GET / HTTP/1.1\r\nHost: a\r\nA:\r\nB:\r\n\r\n"), ParseStatus::complete);
}

TEST(HeadParser, RefusesAnUnfinishedLargeHeadWithTheDefaults) {
    expect_refused({{"GET / HTTP/1.1\r\nX: " + std::string(70'000, 'a'), Errc::headers_too_large},
                    {"GET /" + std::string(9'000, 'a'), Errc::uri_too_long}});
    std::string many = "GET / HTTP/1.1\r\nHost: a\r\n";
    for (int i = 0; i < 100; ++i) {
        many += "a: b\r\n";
    }
    expect_refused({{many, Errc::headers_too_large}});
}

TEST(HeadParser, ServesTheNextHeadAfterReset) {
    HeadParser parser;
    const std::string first = with("Connection: x-a, close\r\nX-A: 1\r\nContent-Length: 4\r\n");
    ASSERT_EQ(parser.parse(first), ParseStatus::complete);
    EXPECT_TRUE(parser.head().connection_names_fields);
    for (const bool release : {false, true}) {
        release ? parser.release() : parser.reset();
        const std::string second = get("/b");
        ASSERT_EQ(parser.parse(second), ParseStatus::complete);
        HeadParser fresh;
        ASSERT_EQ(fresh.parse(second), ParseStatus::complete);
        EXPECT_TRUE(test::same_head(parser.head(), fresh.head()));
    }
}

TEST(HeadParser, RebasesEveryViewWhenTheBufferMoves) {
    const std::string bytes = get("/v1/models?limit=2");
    HeadParser parser;
    auto old_buffer = std::make_unique<test::ExactBuffer>(bytes);
    ASSERT_EQ(parser.parse(old_buffer->view()), ParseStatus::complete);
    const test::ExactBuffer new_buffer(old_buffer->view());
    const char* const old_base = old_buffer->view().data();
    old_buffer.reset();
    parser.head().rebase(old_base, new_buffer.view().data());
    HeadParser fresh;
    ASSERT_EQ(fresh.parse(bytes), ParseStatus::complete);
    EXPECT_TRUE(test::same_head(parser.head(), fresh.head()));
    EXPECT_EQ(parser.head().method_text.data(), new_buffer.view().data());
}

}  // namespace
}  // namespace millrace::http1
