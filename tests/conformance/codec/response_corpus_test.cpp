// Every response of the corpus, read as an upstream connection would read it, whole and byte by
// byte.
#include <gtest/gtest.h>

#include <string>

#include "gateway/http1/chunk_decoder.hpp"
#include "gateway/http1/response_parser.hpp"
#include "tests/conformance/codec/corpus.hpp"

namespace millrace::conformance {
namespace {

using http1::BodyKind;

struct Answer {
    bool head = false;      ///< a final head was accepted
    bool complete = false;  ///< and its whole body
    bool reusable = false;  ///< and the connection may be pooled
    std::string body;
    bool operator==(const Answer&) const = default;
};

/// Delivers the head in steps, then the body with what is left.
Answer read_response(std::string_view bytes, std::size_t step) {
    http1::ResponseParser parser;
    Answer answer;
    std::size_t begin = 0;
    std::size_t end = 0;
    for (;;) {
        const auto status = parser.parse(bytes.substr(begin, end - begin));
        if (!status) {
            EXPECT_EQ(status.error().code, Errc::upstream_bad_response);
            return answer;
        }
        if (*status == http1::ParseStatus::complete) {
            begin += parser.consumed();
            if (!parser.head().informational()) {
                break;
            }
        } else if (end == bytes.size()) {
            return answer;
        } else {
            end = std::min(end + step, bytes.size());
        }
    }
    answer.head = true;
    const auto& head = parser.head();
    const auto rest = bytes.substr(begin);
    std::size_t used = 0;
    if (head.framing.kind == BodyKind::chunked) {
        http1::ChunkDecoder chunks(Origin::upstream);
        for (; used < rest.size() && !chunks.done();) {
            const auto taken = chunks.decode(rest.substr(used, step),
                                             [&](std::string_view piece) { answer.body += piece; });
            if (!taken) {
                return answer;
            }
            used += *taken;
        }
        answer.complete = chunks.done();
    } else {
        const bool all = head.framing.kind == BodyKind::until_close;
        answer.body = rest.substr(0, all ? rest.size() : head.framing.content_length);
        used = answer.body.size();
        answer.complete = all || used == head.framing.content_length;
    }
    answer.reusable = answer.complete && head.keep_alive && !head.need_eof && used == rest.size();
    return answer;
}

TEST(ResponseCorpus, JudgesEveryCaseInEveryMode) {
    const auto cases = load_corpus("http_responses.json");
    ASSERT_EQ(cases.size(), 19U);
    for (const auto& c : cases) {
        const auto whole = read_response(c.bytes, c.bytes.size());
        EXPECT_EQ(read_response(c.bytes, 1), whole) << c.id;
        if (c.verdict == "reject") {
            EXPECT_FALSE(whole.head) << c.id;
        } else if (c.verdict == "accept") {
            EXPECT_TRUE(whole.complete) << c.id;
            EXPECT_EQ(whole.reusable, !c.close) << c.id;
        } else if (c.close) {
            EXPECT_FALSE(whole.reusable) << c.id;
        }
    }
}

TEST(ResponseCorpus, DeliversTheBodies) {
    for (const auto& c : load_corpus("http_responses.json")) {
        const auto answer = read_response(c.bytes, 1);
        if (c.id == "RS01" || c.id == "RS03" || c.id == "RS15" || c.id == "RS37") {
            EXPECT_EQ(answer.body, "hello") << c.id;
        } else if (c.id == "RS13") {
            EXPECT_EQ(answer.body, "hel");
            EXPECT_FALSE(answer.complete);
        }
    }
}

}  // namespace
}  // namespace millrace::conformance
