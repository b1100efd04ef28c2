#include "metrics/tokens/usage.hpp"

#include <gtest/gtest.h>

#include <array>

namespace millrace::metrics {
namespace {

TEST(Usage, ReadsEveryDialect) {
    struct Case {
        const char* json;
        Dialect dialect;
        TokenUsage expected;
    };
    const std::array cases{
        Case{R"({"prompt_tokens":25,"total_tokens":37,"completion_tokens":12})",
             Dialect::chat,
             {.prompt = 25, .cached = {}, .completion = 12, .reasoning = {}, .cache_write = {}}},
        Case{
            R"({"prompt_tokens":0,"completion_tokens":0,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":null},
                 "completion_tokens_details":{"reasoning_tokens":0}})",
            Dialect::completions,
            {.prompt = 0, .cached = 0, .completion = 0, .reasoning = 0, .cache_write = {}}},
        Case{R"({"prompt_tokens":8,"total_tokens":8})",
             Dialect::chat,
             {.prompt = 8, .cached = {}, .completion = {}, .reasoning = {}, .cache_write = {}}},
        Case{
            R"({"input_tokens":100,"input_tokens_details":{"cached_tokens":64,"cache_write_tokens":5},
                 "output_tokens":9,"output_tokens_details":{"reasoning_tokens":4},"total_tokens":109})",
            Dialect::responses,
            {.prompt = 100, .cached = 64, .completion = 9, .reasoning = 4, .cache_write = 5}},
        Case{
            R"({"input_tokens":10,"cache_read_input_tokens":90,"cache_creation_input_tokens":7,"output_tokens":3,
                 "cache_creation":{"ephemeral_5m_input_tokens":7}})",
            Dialect::messages,
            {.prompt = 107, .cached = 90, .completion = 3, .reasoning = {}, .cache_write = 7}},
        Case{R"({"prompt_tokens":-1,"completion_tokens":1.5,"prompt_tokens_details":null})",
             Dialect::chat,
             {}},
        Case{"{}", Dialect::chat, {}},
    };
    for (const Case& c : cases) {
        EXPECT_EQ(parse_usage(c.json, c.dialect), c.expected) << c.json;
    }
    for (const char* json : {"null", "[]", "", "{\"prompt_tokens\":1"}) {
        EXPECT_EQ(parse_usage(json, Dialect::chat), std::nullopt) << json;
    }
}

TEST(Usage, MergesByPresence) {
    TokenUsage usage{
        .prompt = 10, .cached = 4, .completion = 1, .reasoning = {}, .cache_write = {}};
    merge_usage(usage,
                {.prompt = {}, .cached = {}, .completion = 0, .reasoning = {}, .cache_write = {}});
    EXPECT_EQ(usage,
              (TokenUsage{
                  .prompt = 10, .cached = 4, .completion = 0, .reasoning = {}, .cache_write = {}}));
}

TEST(Usage, SplitsIntoDisjointPriceClasses) {
    const auto classes = price_classes(
        {.prompt = 100, .cached = 60, .completion = 20, .reasoning = 5, .cache_write = 10});
    EXPECT_EQ(classes, (PriceClasses{30, 60, 10, 15, 5}));
    // A backend that reports parts larger than the whole must not make the sum exceed it.
    const auto cut = price_classes(
        {.prompt = 10, .cached = 50, .completion = 2, .reasoning = 9, .cache_write = 50});
    EXPECT_EQ(cut, (PriceClasses{0, 10, 0, 0, 2}));
    EXPECT_EQ(price_classes({}), PriceClasses{});
}

TEST(Settle, IsExactWithFinalUsageAndKeepsZero) {
    const TokenUsage zero{
        .prompt = 0, .cached = {}, .completion = 0, .reasoning = {}, .cache_write = {}};
    const std::array choices{ChoiceTokens{0, true, 7, 1, 7}};
    const auto result = settle(
        {.final_usage = zero, .choices = choices, .choices_per_prompt = 1, .prompt_estimate = 99});
    EXPECT_EQ(result.exactness, Exactness::exact);
    EXPECT_EQ(result.tokens, zero);
}

TEST(Settle, IsExactWithoutCompletionForEmbeddings) {
    const TokenUsage usage{
        .prompt = 8, .cached = {}, .completion = {}, .reasoning = {}, .cache_write = {}};
    const auto result = settle(
        {.final_usage = usage, .choices = {}, .choices_per_prompt = 1, .prompt_estimate = 0});
    EXPECT_EQ(result.exactness, Exactness::exact);
    EXPECT_EQ(result.tokens.completion, 0U);
}

TEST(Settle, IsPartialFromLastCountsOfEachChoice) {
    // Two prompts, two choices each; the last choice showed content but no count.
    const std::array choices{ChoiceTokens{0, false, 9, 5, 10}, ChoiceTokens{1, false, 9, 5, 11},
                             ChoiceTokens{2, false, 9, 6, 12}, ChoiceTokens{3, false, 4, {}, {}}};
    const auto result = settle(
        {.final_usage = {}, .choices = choices, .choices_per_prompt = 2, .prompt_estimate = 1000});
    EXPECT_EQ(result.exactness, Exactness::partial);
    EXPECT_EQ(result.tokens.prompt, 11U) << "a prompt counts once, however many choices it has";
    EXPECT_EQ(result.tokens.completion, 37U);
    EXPECT_EQ(result.tokens.cached, std::nullopt) << "unknown is not zero";
}

TEST(Settle, CountsOnePromptOnceForSeveralChoices) {
    const std::array choices{ChoiceTokens{1, false, 2, 5, 2}, ChoiceTokens{0, false, 3, 5, 3}};
    const auto result = settle(
        {.final_usage = {}, .choices = choices, .choices_per_prompt = 2, .prompt_estimate = 0});
    EXPECT_EQ(result.tokens.prompt, 5U);
    EXPECT_EQ(result.tokens.completion, 5U);
}

TEST(Settle, IsEstimatedFromDeltas) {
    const std::array choices{ChoiceTokens{0, false, 3, {}, {}}, ChoiceTokens{1, false, 4, {}, {}}};
    const auto result = settle(
        {.final_usage = {}, .choices = choices, .choices_per_prompt = 2, .prompt_estimate = 55});
    EXPECT_EQ(result.exactness, Exactness::estimated);
    EXPECT_EQ(result.tokens.prompt, 55U);
    EXPECT_EQ(result.tokens.completion, 7U);
    EXPECT_EQ(settle({.final_usage = TokenUsage{},
                      .choices = {},
                      .choices_per_prompt = 1,
                      .prompt_estimate = 5})
                  .exactness,
              Exactness::estimated)
        << "an empty usage object is no usage";
}

TEST(Usage, NamesItsEnums) {
    EXPECT_EQ(to_string(Exactness::partial), "partial");
    EXPECT_EQ(to_string(Dialect::messages), "messages");
}

}  // namespace
}  // namespace millrace::metrics
