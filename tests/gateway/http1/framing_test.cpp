#include "gateway/http1/framing.hpp"

#include <gtest/gtest.h>

namespace millrace::http1 {
namespace {

FramingFields length(std::string_view value, unsigned lines = 1) {
    return {.content_length = value, .transfer_encoding = {}, .content_length_lines = lines};
}

FramingFields coding(std::string_view value, unsigned lines = 1) {
    return {.content_length = {}, .transfer_encoding = value, .transfer_encoding_lines = lines};
}

FramingFields both() {
    auto fields = coding("chunked");
    fields.content_length = "5";
    fields.content_length_lines = 1;
    return fields;
}

TEST(Framing, ReadsContentLengthAsPlainDecimal) {
    EXPECT_EQ(parse_content_length("0"), 0U);
    EXPECT_EQ(parse_content_length("003"), 3U);
    EXPECT_EQ(parse_content_length("9999999999999999999"), 9'999'999'999'999'999'999U);
    for (const std::string_view text : {"", "-1", "+5", "0x5", "5Z", "4 2", "5,5", "5e0", " 5",
                                        "18446744073709551616", "00000000000000000005", "5\t"}) {
        EXPECT_FALSE(parse_content_length(text)) << text;
    }
}

TEST(Framing, AcceptsTheThreeFramingsOfRequests) {
    EXPECT_EQ(*request_framing({}, 1), Framing{});
    EXPECT_EQ(*request_framing(length("5"), 1), (Framing{BodyKind::length, 5}));
    EXPECT_EQ(*request_framing(length("5"), 0), (Framing{BodyKind::length, 5}));
    EXPECT_EQ(*request_framing(coding("chunked"), 1), (Framing{BodyKind::chunked, 0}));
    EXPECT_EQ(*request_framing(coding("CHUNKED"), 1), (Framing{BodyKind::chunked, 0}));
}

TEST(Framing, RefusesRequestsWithTwoReadings) {
    struct Case {
        FramingFields fields;
        int minor_version;
        Errc code;
    };
    for (const auto& c : {
             Case{both(), 1, Errc::bad_framing},
             Case{length("5", 2), 1, Errc::bad_framing},
             Case{length("abc"), 1, Errc::bad_framing},
             Case{coding("chunked", 2), 1, Errc::bad_framing},
             Case{coding("chunked"), 0, Errc::bad_framing},
             Case{coding(""), 1, Errc::bad_framing},
             Case{coding("chunked, gzip"), 1, Errc::bad_framing},
             Case{coding("gzip, chunked"), 1, Errc::bad_framing},
             Case{coding(",chunked"), 1, Errc::bad_framing},
             Case{coding("\"chunked\""), 1, Errc::bad_framing},
             Case{coding("chunked;q=1"), 1, Errc::bad_framing},
             Case{coding("gzip"), 1, Errc::unsupported_transfer_coding},
             Case{coding("xchunked"), 1, Errc::unsupported_transfer_coding},
         }) {
        const auto result = request_framing(c.fields, c.minor_version);
        ASSERT_FALSE(result) << c.fields.transfer_encoding << "|" << c.fields.content_length;
        EXPECT_EQ(result.error().code, c.code) << c.fields.transfer_encoding;
        EXPECT_EQ(result.error().origin, Origin::downstream);
    }
}

TEST(Framing, ReadsResponsesByStatusAndMethod) {
    EXPECT_EQ(response_framing({}, 1, 200, false)->kind, BodyKind::until_close);
    EXPECT_EQ(*response_framing(length("5"), 1, 200, false), (Framing{BodyKind::length, 5}));
    EXPECT_EQ(response_framing(coding("Chunked"), 1, 200, false)->kind, BodyKind::chunked);
    EXPECT_EQ(response_framing(length("5"), 1, 200, true)->kind, BodyKind::none);
    EXPECT_EQ(response_framing(length("5"), 1, 304, false)->kind, BodyKind::none);
    EXPECT_EQ(response_framing({}, 1, 204, false)->kind, BodyKind::none);
    EXPECT_EQ(response_framing({}, 1, 103, false)->kind, BodyKind::none);
}

TEST(Framing, RefusesResponsesWithTwoReadings) {
    for (const auto& fields : {both(), length("5", 2), length("-1"), coding("chunked", 2),
                               coding("chunked, gzip"), coding("identity"), coding("")}) {
        for (const bool to_head : {false, true}) {
            const auto result = response_framing(fields, 1, 200, to_head);
            ASSERT_FALSE(result) << fields.transfer_encoding << "|" << fields.content_length;
            EXPECT_EQ(result.error().code, Errc::upstream_bad_response);
            EXPECT_EQ(result.error().origin, Origin::upstream);
        }
    }
    EXPECT_FALSE(response_framing(coding("chunked"), 0, 200, false));
}

}  // namespace
}  // namespace millrace::http1
