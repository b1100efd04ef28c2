#include "gateway/http1/body_decoder.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace millrace::http1 {
namespace {

struct Read {
    std::string body{};
    bool complete = false;
    std::string rest{};
    bool operator==(const Read&) const = default;
};

/// The bytes arrive `step` at a time; what a piece leaves unread stays unread.
Read read(const Framing& framing, std::string_view bytes, std::size_t step, bool ended = false) {
    BodyDecoder decoder(framing);
    Read out;
    while (!bytes.empty() && !decoder.is_complete(false)) {
        auto input = bytes.substr(0, step);
        const auto size = input.size();
        std::vector<std::string_view> pieces;
        EXPECT_TRUE(decoder.decode(input, pieces));
        for (const auto piece : pieces) {
            EXPECT_GE(piece.data(), bytes.data());  // a view, not a copy
            out.body += piece;
        }
        bytes.remove_prefix(size - input.size());
    }
    out.complete = decoder.is_complete(ended);
    out.rest = bytes;
    return out;
}

TEST(BodyDecoder, TakesTheBodyOfEveryFramingAndLeavesTheRest) {
    constexpr std::string_view kChunked = "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\nX";
    for (const std::size_t step : {1U, 4U, 100U}) {
        EXPECT_EQ(read({BodyKind::none, 0}, "X", step), (Read{"", true, "X"}));
        EXPECT_EQ(read({BodyKind::length, 5}, "helloX", step), (Read{"hello", true, "X"}));
        EXPECT_EQ(read({BodyKind::length, 0}, "X", step), (Read{"", true, "X"}));
        EXPECT_EQ(read({BodyKind::chunked, 0}, kChunked, step), (Read{"hello", true, "X"}));
        EXPECT_EQ(read({BodyKind::until_close, 0}, "hello", step, true), (Read{"hello", true, ""}));
    }
}

TEST(BodyDecoder, IsNotCompleteBeforeTheLastByte) {
    EXPECT_FALSE(read({BodyKind::length, 5}, "hell", 100, true).complete);
    EXPECT_FALSE(read({BodyKind::chunked, 0}, "5\r\nhello\r\n0\r\n", 100, true).complete);
    EXPECT_FALSE(read({BodyKind::until_close, 0}, "hello", 100, false).complete);
}

TEST(BodyDecoder, DeliversWhatCameBeforeAMistake) {
    BodyDecoder decoder(Framing{BodyKind::chunked, 0});
    std::string_view input = "5\r\nhello\r\nx\r\n";
    std::vector<std::string_view> pieces;
    const auto decoded = decoder.decode(input, pieces);
    ASSERT_FALSE(decoded);
    EXPECT_EQ(decoded.error().code, Errc::bad_chunk);
    EXPECT_EQ(pieces, std::vector<std::string_view>{"hello"});
}

}  // namespace
}  // namespace millrace::http1
