// Properties that hold for every input, checked on mutated heads: the cut into reads and the
// address of the buffer do not matter, and what is accepted can be written again and reads the
// same.
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <string_view>

#include "config/base/random.hpp"
#include "tests/gateway/http1/rewrite.hpp"

namespace millrace::http1 {
namespace {

using namespace std::string_view_literals;

constexpr std::array kRequests{
    "\r\nPOST /v1/chat/completions?x=%20 HTTP/1.1\r\nHost: gw:8080\r\nAuthorization: Bearer "
    "mr_a\r\n"
    "Content-Type: application/json\r\nContent-Length: 12\r\nX-Model-Id: llama\r\n\r\nbody"sv,
    "POST /v1/x HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"sv,
    "GET /v1/models/a%2Fb HTTP/1.1\r\nHost: [::1]:1\r\nConnection: x-a, close\r\nX-A: 1\r\n\r\n"sv,
    "OPTIONS * HTTP/1.1\r\nHost: gw\r\nUpgrade: h2c\r\n\r\nGET / HTTP/1.1\r\n"sv,
    "GET / HTTP/1.0\r\n\r\n"sv,
    "GET / HTTP/1.1\r\nHost: gw\r\n folded\r\n\r\n"sv,
    "POST / HTTP/1.1\r\nHost: gw\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"sv};

constexpr std::array kResponses{
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n"sv,
    "HTTP/1.0 404 Not Found\r\nConnection: x-a\r\nX-A: b\r\nContent-Length: 3\r\n\r\nabc"sv,
    "HTTP/1.1 204\r\nserver: a\r\nserver: b\r\n\r\n"sv, "HTTP/1.1 200 OK\r\nX: \0\r\n\r\n"sv};

constexpr std::array kPieces{"\r\n"sv,        "\n"sv,       "\r"sv,      "\0"sv,
                             " "sv,           "\t"sv,       ":"sv,       ","sv,
                             "_"sv,           "0"sv,        "a"sv,       "/"sv,
                             ".."sv,          "%2e"sv,      "%"sv,       "#"sv,
                             "\x80"sv,        "close"sv,    "chunked"sv, "Content-Length: 1\r\n"sv,
                             "Host: a\r\n"sv, "HTTP/1.1"sv, "200"sv};

std::string mutated(std::string_view sample, Random& random) {
    std::string out(sample);
    for (std::uint32_t edits = random.below(4); edits > 0 && !out.empty(); --edits) {
        const std::size_t at = random.below(static_cast<std::uint32_t>(out.size()));
        const auto piece = kPieces[random.below(kPieces.size())];
        switch (random.below(4)) {
            case 0: out.replace(at, piece.size(), piece); break;
            case 1: out.insert(at, piece); break;
            case 2: out.erase(at, 1 + random.below(8)); break;
            default: out[at] = static_cast<char>(random.below(256)); break;
        }
    }
    return out;
}

template <class Parser>
void check(std::string_view bytes, std::size_t step) {
    Parser whole;
    const test::ExactBuffer buffer(bytes);
    const auto outcome = test::outcome_of(whole, buffer.view());

    Parser stepwise;
    std::optional<test::ExactBuffer> last;
    const auto stepped = test::feed_in_steps(stepwise, bytes, step, last);
    ASSERT_EQ(stepped.status, outcome.status) << bytes << " in steps of " << step;
    ASSERT_EQ(stepped.error, outcome.error) << bytes << " in steps of " << step;
    ASSERT_EQ(stepped.consumed, outcome.consumed) << bytes;
    if (outcome.status == ParseStatus::complete) {
        ASSERT_TRUE(test::same_head(whole.head(), stepwise.head())) << bytes;
        Parser again;
        const std::string written = test::rewrite(whole.head());
        ASSERT_EQ(test::outcome_of(again, written).status, ParseStatus::complete) << written;
        ASSERT_TRUE(test::same_head(whole.head(), again.head())) << written;
    }
}

TEST(HeadProperties, TheCutDoesNotMatter) {
    for (const auto sample : kRequests) {
        for (std::size_t step = 1; step <= sample.size(); ++step) {
            check<HeadParser>(sample, step);
        }
    }
    for (const auto sample : kResponses) {
        for (std::size_t step = 1; step <= sample.size(); ++step) {
            check<ResponseParser>(sample, step);
        }
    }
}

TEST(HeadProperties, MutatedRequestsReadTheSameInEveryCut) {
    Random random(3);
    for (int round = 0; round < 6'000; ++round) {
        check<HeadParser>(mutated(kRequests[random.below(kRequests.size())], random),
                          1 + random.below(30));
    }
}

TEST(HeadProperties, MutatedResponsesReadTheSameInEveryCut) {
    Random random(5);
    for (int round = 0; round < 6'000; ++round) {
        check<ResponseParser>(mutated(kResponses[random.below(kResponses.size())], random),
                              1 + random.below(30));
    }
}

TEST(HeadProperties, LimitsAreRefusedAtTheSameByteInEveryCut) {
    const HeadLimits limits{.start_line = 40, .header_block = 60, .fields = 4};
    Random random(9);
    for (int round = 0; round < 6'000; ++round) {
        const auto bytes = mutated(kRequests[random.below(kRequests.size())], random);
        HeadParser whole(limits);
        HeadParser stepwise(limits);
        std::optional<test::ExactBuffer> last;
        const auto stepped = test::feed_in_steps(stepwise, bytes, 1 + random.below(5), last);
        ASSERT_EQ(stepped, test::outcome_of(whole, bytes)) << bytes;
    }
}

}  // namespace
}  // namespace millrace::http1
