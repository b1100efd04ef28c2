#include "gateway/openai/event_reader.hpp"

#include <gtest/gtest.h>

#include <string>

namespace millrace::openai {
namespace {

TEST(EventReader, ReadsAFamiliarPrefixOnceAndTheRestAlways) {
    EventReader reader(metrics::Dialect::chat);
    StreamFacts facts;
    const std::string head = R"({"id":"a","created":1,"choices":)";
    ASSERT_TRUE(
        reader.read("", head + R"([{"index":0,"delta":{"content":"x"}}]})", facts).is_readable);
    // The same bytes up to choices, something else behind them.
    EXPECT_FALSE(
        reader.read("", head + R"([{"index":0,"delta":{"content":"x"}])", facts).is_readable);
    EXPECT_TRUE(reader.read("", head + R"(null})", facts).is_readable);
    EXPECT_TRUE(reader.read("", head + R"([],"error":{"message":"m"}})", facts).is_error);
    const EventShape last = reader.read("", head + R"([],"usage":{"prompt_tokens":1}})", facts);
    EXPECT_TRUE(last.choices_empty);
    EXPECT_EQ(last.usage_cut, (metrics::Span{head.size() + 2, 28}));
    // Another prefix: read as if it were the first.
    EXPECT_TRUE(
        reader.read("", R"({"id":"b","error":{"message":"m"},"choices":[]})", facts).is_error);
    EXPECT_TRUE(
        reader.read("", R"({"id":"b","error":{"message":"m"},"choices":[]})", facts).is_error)
        << "a prefix with news is not remembered";
    EXPECT_EQ(facts.response_id, "a");
    EXPECT_EQ(facts.unread_events, 1U);
}

TEST(EventReader, BoundsWhatItKeeps) {
    EventReader reader(metrics::Dialect::chat);
    StreamFacts facts;
    for (int i = 0; i < 3000; ++i) {
        reader.read(
            "", R"({"choices":[{"index":)" + std::to_string(i) + R"(,"delta":{"content":"x"}}]})",
            facts);
    }
    EXPECT_EQ(facts.choices.size(), 1024U);
    EXPECT_EQ(facts.content_events, 3000U);
    reader.read("",
                R"({"id":")" + std::string(300, 'i') + R"(","choices":[{"finish_reason":")" +
                    std::string(300, 'f') + R"("}]})",
                facts);
    EXPECT_EQ(facts.response_id, "");
    EXPECT_EQ(facts.finish_reason.size(), 32U);
}

}  // namespace
}  // namespace millrace::openai
