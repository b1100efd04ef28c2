#include "metrics/tokens/response_usage.hpp"

#include <gtest/gtest.h>

#include <string>

namespace millrace::metrics {
namespace {

struct Seen {
    bool finished = false;
    std::optional<TokenUsage> usage;
    std::string id;
    std::string error_type;
    bool overflowed = false;

    bool operator==(const Seen&) const = default;
};

Seen read(std::string_view body, Dialect dialect, std::size_t piece) {
    ResponseUsage reader(dialect);
    for (std::size_t at = 0; at < body.size(); at += piece) {
        // A copy per piece, so that a view kept beyond its feed shows up under the sanitizers.
        const std::string bytes(body.substr(at, piece));
        reader.feed(bytes);
    }
    return {reader.finish(), reader.usage(), reader.id(),
            reader.error() ? reader.error()->type : "", reader.overflowed()};
}

TEST(ResponseUsage, FindsUsageHoweverTheBodyIsCut) {
    struct Case {
        std::string body;
        Dialect dialect;
        Seen expected;
    };
    const std::vector<Case> cases{
        {R"({"id":"chatcmpl-1","object":"chat.completion","choices":[{"message":{"content":"say \"usage\":{} }","usage":{"prompt_tokens":9}}}],"usage":{"prompt_tokens":3,"completion_tokens":4}})",
         Dialect::chat,
         {true, TokenUsage{3, {}, 4, {}, {}}, "chatcmpl-1", "", false}},
        {R"({"object":"list","data":[{"embedding":[0.1,0.2]}],"usage":{"prompt_tokens":3,"total_tokens":3}})",
         Dialect::chat,
         {true, TokenUsage{3, {}, {}, {}, {}}, "", "", false}},
        {R"({"id":"resp_1","error":null,"output":[],"usage":{"input_tokens":5,"output_tokens":6}})",
         Dialect::responses,
         {true, TokenUsage{5, {}, 6, {}, {}}, "resp_1", "", false}},
        {R"({"type":"response.completed","response":{"id":"resp_2","output":[{"id":"no"}],"usage":{"input_tokens":5,"output_tokens":6}}})",
         Dialect::responses,
         {true, TokenUsage{5, {}, 6, {}, {}}, "resp_2", "", false}},
        {R"({"id":"msg_1","type":"message","usage":{"input_tokens":5,"output_tokens":6}})",
         Dialect::messages,
         {true, TokenUsage{5, {}, 6, {}, {}}, "msg_1", "", false}},
        {R"({"error":{"message":"m","type":"NotFoundError","code":404}})",
         Dialect::chat,
         {true, {}, "", "NotFoundError", false}},
        {R"({"usage":{"prompt_tokens":3)", Dialect::chat, {false, {}, "", "", false}},
        {"<html>", Dialect::chat, {false, {}, "", "", false}},
        {R"({"usage":null,"x":1})", Dialect::chat, {true, {}, "", "", false}},
    };
    for (const Case& c : cases) {
        for (std::size_t piece = 1; piece <= c.body.size(); ++piece) {
            ASSERT_EQ(read(c.body, c.dialect, piece), c.expected) << c.body << " by " << piece;
        }
    }
}

TEST(ResponseUsage, KeepsNoLargeValues) {
    const std::string huge = R"({"error":{"message":")" + std::string(40'000, 'x') +
                             R"("},"usage":{"prompt_tokens":1,"completion_tokens":2}})";
    const Seen cut = read(huge, Dialect::chat, 1000);
    EXPECT_TRUE(cut.overflowed);
    EXPECT_EQ(cut.usage, (TokenUsage{1, {}, 2, {}, {}}));
    const std::string long_key =
        "{\"" + std::string(40'000, 'k') + R"(":1,"usage":{"prompt_tokens":1}})";
    EXPECT_EQ(read(long_key, Dialect::chat, 1000).usage, (TokenUsage{1, {}, {}, {}, {}}));
}

}  // namespace
}  // namespace millrace::metrics
