#include "gateway/http1/chunk_decoder.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "config/base/random.hpp"
#include "gateway/http1/serializer.hpp"

namespace millrace::http1 {
namespace {

using namespace std::string_view_literals;

struct Decoded {
    bool ok = true;
    bool done = false;
    std::string payload{};
    std::size_t consumed = 0;
    bool operator==(const Decoded&) const = default;
};

Decoded decode(std::string_view body, std::size_t step, Origin origin = Origin::downstream) {
    ChunkDecoder decoder(origin);
    Decoded out;
    while (out.consumed < body.size() && !decoder.done()) {
        const auto result = decoder.decode(body.substr(out.consumed, step),
                                           [&](std::string_view piece) { out.payload += piece; });
        if (!result) {
            EXPECT_EQ(result.error().code, Errc::bad_chunk);
            EXPECT_EQ(result.error().origin, origin);
            return {.ok = false};
        }
        out.consumed += *result;
    }
    out.done = decoder.done();
    return out;
}

std::string chunked(std::string_view payload, std::size_t size) {
    std::string out;
    while (!payload.empty()) {
        const auto piece = payload.substr(0, size);
        payload.remove_prefix(piece.size());
        out += ChunkHeader(piece.size()).view();
        out += piece;
        out += kChunkEnd;
    }
    return out + std::string(kLastChunk);
}

TEST(ChunkDecoder, AcceptsTheGrammar) {
    struct Case {
        std::string_view body;
        std::string_view payload;
    };
    for (const auto& c :
         {Case{"0\r\n\r\n", ""}, Case{"c\r\nHellO world1\r\n0\r\n\r\n", "HellO world1"},
          Case{"5\r\nhello\r\n6\r\n world\r\n000\r\n\r\n", "hello world"},
          Case{"0000000000000003\r\nabc\r\n0\r\n\r\n", "abc"},
          Case{"3;a\r\nabc\r\n0;b=c\r\n\r\n", "abc"},
          Case{"5;a=b;c=\"q\\\"x\"\r\nhello\r\n0\r\n\r\n", "hello"},
          Case{"3;a=\"\"\r\nabc\r\n0\r\n\r\n", "abc"},
          Case{"A\r\n0123456789\r\n0\r\nx-t: a\tb\r\nAuthorization: x\r\n\r\n", "0123456789"}}) {
        const Decoded expected{
            .ok = true, .done = true, .payload = std::string(c.payload), .consumed = c.body.size()};
        EXPECT_EQ(decode(c.body, c.body.size()), expected) << c.body;
        EXPECT_EQ(decode(c.body, 1), expected) << c.body;
    }
}

TEST(ChunkDecoder, RefusesEverythingElse) {
    const std::string tail = "\r\n0\r\n\r\n";
    for (const auto start : {"z\r\nabc"sv,
                             "0x3\r\nabc"sv,
                             "-3\r\nabc"sv,
                             "+3\r\nabc"sv,
                             " 3\r\nabc"sv,
                             "3 \r\nabc"sv,
                             "3\t\r\nabc"sv,
                             "3\nabc"sv,
                             "3\rXabc"sv,
                             "\r\nabc"sv,
                             ";a\r\nabc"sv,
                             "3;\r\nabc"sv,
                             "3; a\r\nabc"sv,
                             "3;a =b\r\nabc"sv,
                             "3;a=\r\nabc"sv,
                             "3;a=\"\n\"\r\nabc"sv,
                             "3;a=\"\\\n\"\r\nabc"sv,
                             "3;a=\"x\"y\r\nabc"sv,
                             "3;a=\"\r\nabc"sv,
                             "3;a\nabc"sv,
                             "2\r\r;a\r\n02"sv,
                             "3\r\nabcd"sv,
                             "3\r\nabc\n"sv,
                             "100000000\r\nabc"sv,
                             "00000000000000003\r\nabc"sv,
                             "FFFFFFFFFFFFFFFF\r\nabc"sv,
                             "3;a==b\r\nabc"sv,
                             "3;\0=b\r\nabc"sv}) {
        const std::string body = std::string(start) + tail;
        EXPECT_FALSE(decode(body, body.size()).ok) << start;
        EXPECT_FALSE(decode(body, 1).ok) << start;
    }
    for (const auto trailer :
         {"X: a\nY: b\r\n"sv, " X: a\r\n"sv, "X : a\r\n"sv, "X\r\n"sv, ": a\r\n"sv, "X: a\0\r\n"sv,
          "X: a\r\n folded\r\n"sv, "\rX: a\r\n"sv}) {
        const std::string body = "0\r\n" + std::string(trailer) + "\r\n";
        EXPECT_FALSE(decode(body, body.size()).ok) << trailer;
        EXPECT_FALSE(decode(body, 1).ok) << trailer;
    }
}

TEST(ChunkDecoder, IsNotDoneBeforeTheLastEmptyLine) {
    const std::string body = "3\r\nabc\r\n0\r\nx: y\r\n\r\n";
    for (std::size_t size = 0; size < body.size(); ++size) {
        const auto out = decode(std::string_view(body).substr(0, size), 4);
        EXPECT_TRUE(out.ok);
        EXPECT_FALSE(out.done) << size;
    }
}

TEST(ChunkDecoder, LeavesTheNextMessageAlone) {
    const std::string body = "3\r\nabc\r\n0\r\n\r\nGET / HTTP/1.1";
    const auto out = decode(body, body.size());
    EXPECT_TRUE(out.done);
    EXPECT_EQ(body.substr(out.consumed), "GET / HTTP/1.1");
}

TEST(ChunkDecoder, YieldsViewsIntoTheInput) {
    const std::string body = "5\r\nhello\r\n0\r\n\r\n";
    std::string_view input = body;
    ChunkDecoder decoder;
    const auto piece = decoder.next(input);
    ASSERT_TRUE(piece);
    EXPECT_EQ(piece->data(), body.data() + 3);
    EXPECT_EQ(*piece, "hello");
    EXPECT_EQ(decoder.announced(), 5U);
}

TEST(ChunkDecoder, AnnouncesAChunkBeforeItArrives) {
    ChunkDecoder decoder;
    std::string_view input = "FFFFFFFF\r\n";
    ASSERT_TRUE(decoder.next(input));
    EXPECT_EQ(decoder.announced(), 0xffffffffU);
    decoder.reset();
    EXPECT_EQ(decoder.announced(), 0U);
}

TEST(ChunkDecoder, BoundsExtensionsAndTrailersToTheByte) {
    const auto extension = [](std::size_t size) {
        return "1;" + std::string(size - 1, 'a') + "\r\nx\r\n0\r\n\r\n";
    };
    EXPECT_TRUE(decode(extension(256), 1).done);
    EXPECT_FALSE(decode(extension(257), 1).ok);
    EXPECT_FALSE(decode("3;" + std::string(60'000, 'a'), 60'000).ok);
    const auto trailers = [](std::size_t size) {
        return "0\r\nx:" + std::string(size - 6, 'a') + "\r\n\r\n";
    };
    EXPECT_TRUE(decode(trailers(4096), 1).done);
    EXPECT_FALSE(decode(trailers(4097), 1).ok);
}

TEST(ChunkDecoder, BoundsFramingOverheadOfClientsOnly) {
    const std::string tiny = chunked(std::string(100'000, 'x'), 1);
    EXPECT_FALSE(decode(tiny, tiny.size()).ok);
    EXPECT_TRUE(decode(tiny, tiny.size(), Origin::upstream).done);
    const std::string few = chunked(std::string(2'000, 'x'), 1);
    EXPECT_TRUE(decode(few, few.size()).done);
    const std::string fair = chunked(std::string(200'000, 'x'), 20);
    EXPECT_TRUE(decode(fair, fair.size()).done);
}

TEST(ChunkDecoder, GivesTheSameResultForEveryCut) {
    Random random(11);
    const std::string valid =
        "5;a=b;c=\"q\\\"x\"\r\nhello\r\n6\r\n world\r\n000\r\nx-t: a\r\n\r\nrest";
    constexpr std::string_view kBytes = "\r\n;=\"\\0123afz: \t\0"sv;
    for (int round = 0; round < 20'000; ++round) {
        std::string body = valid;
        for (std::uint32_t edits = random.below(4); edits > 0; --edits) {
            const std::size_t at = random.below(static_cast<std::uint32_t>(body.size()));
            const char c = kBytes[random.below(static_cast<std::uint32_t>(kBytes.size()))];
            switch (random.below(3)) {
                case 0: body[at] = c; break;
                case 1: body.insert(at, 1, c); break;
                default: body.erase(at, 1); break;
            }
        }
        const auto whole = decode(body, body.size());
        ASSERT_EQ(decode(body, 1), whole) << body;
        ASSERT_EQ(decode(body, 1 + random.below(9)), whole) << body;
        if (whole.done) {
            const std::string again = chunked(whole.payload, 3);
            ASSERT_EQ(decode(again, again.size()).payload, whole.payload);
        }
    }
}

}  // namespace
}  // namespace millrace::http1
