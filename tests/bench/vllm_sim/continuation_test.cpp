#include "bench/vllm_sim/continuation.hpp"

#include <gtest/gtest.h>

#include "bench/vllm_sim/prefix_cache.hpp"
#include "bench/vllm_sim/tokens.hpp"

namespace millrace::vllm_sim {
namespace {

std::string tokens(std::uint32_t first, std::uint32_t count, std::uint64_t seed = 1) {
    return std::string(TokenText(seed).range(first, count));
}

TEST(Continuation, CountsTheEarlierMessagesAsIfTheLastOneHadNeverBeenAdded) {
    constexpr std::string_view kUser = R"({"role":"user","content":"a, [b] \"c\""})";
    constexpr std::string_view kAdded = R"({"role":"assistant","content":"x"})";
    const std::string user(kUser);
    const std::string added(kAdded);
    for (const auto& [before, after] : {std::pair{"[" + user + "]", "[" + user + "," + added + "]"},
                                        {"[" + user + "]", "[" + user + ", " + added + "]"},
                                        {"[ " + user + "\n]", "[ " + user + "\n," + added + "]"},
                                        {"[ " + user + "\n]", "[ " + user + "," + added + "\n]"},
                                        {"[]", "[" + added + "]"}}) {
        const FinalMessage message = final_message_of(after);
        EXPECT_EQ(message.earlier_bytes, before.size()) << after;
        EXPECT_EQ(message.text, "x") << after;
    }
}

TEST(Continuation, ReadsTextOfStringsAndPartsOfAnAssistantOnly) {
    const auto text = [](std::string_view message) {
        return final_message_of("[{\"role\":\"user\",\"content\":\"q\"}," + std::string(message) +
                                "]")
            .text;
    };
    EXPECT_EQ(text(R"({"role":"assistant","content":"a\u0020\"b\n"})"), "a \"b\n");
    EXPECT_EQ(text(R"({"content":[{"type":"text","text":"a "},)"
                   R"({"text":"b\u0031 ","type":"text"}],"role":"assistant"})"),
              "a b1 ");
    EXPECT_EQ(text(R"({"role":"user","content":"a"})"), "");
    EXPECT_EQ(text(R"({"role":"assistant"})"), "");
    EXPECT_EQ(text("7"), "");
}

TEST(Continuation, GoesOnBehindTheLastWholeToken) {
    struct Case {
        std::string text;
        std::uint32_t begin;
        std::uint32_t held;
    };
    for (const Case& c : {Case{"", 0, 0}, Case{tokens(0, 1), 1, 1}, Case{tokens(0, 120), 120, 120},
                          Case{tokens(17, 1), 18, 1},                  // what precedes was hidden
                          Case{"Sure: " + tokens(0, 3), 3, 3 + 2}}) {  // a prefill of the client
        const Continuation found = continue_after(c.text, 1);
        EXPECT_EQ(found.begin, c.begin) << c.text;
        EXPECT_EQ(found.held, c.held) << c.text;
    }
    EXPECT_EQ(continue_after(tokens(0, 5, 9), 9).begin, 5U);
}

TEST(Continuation, BeginsAtTheFirstTokenAfterAWrongPrefix) {
    const std::string whole = tokens(0, 4);
    for (const std::string& text :
         {whole.substr(0, whole.size() - 1), whole + "du", whole.substr(1), tokens(0, 4, 2),
          tokens(0, 2) + tokens(3, 1), whole + tokens(3, 1), tokens(0, 1) + tokens(0, 2),
          "Sure: " + tokens(1, 3), std::string("kalo99999999999 "), std::string(" "),
          std::string("17 ")}) {
        const Continuation found = continue_after(text, 1);
        EXPECT_EQ(found.begin, 0U) << text;
        EXPECT_EQ(found.held, prompt_tokens_of(text)) << text;
    }
}

}  // namespace
}  // namespace millrace::vllm_sim
