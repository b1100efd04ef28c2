#include "metrics/tokens/json_cursor.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace millrace::metrics {
namespace {

TEST(JsonCursor, WalksObjectsAndArrays) {
    JsonCursor cursor(R"( {"a": 1 , "b":[ "x" , {"c":[]} , null ],"d":"\"}" } )");
    ASSERT_TRUE(cursor.begin_object());
    std::string_view key;
    ASSERT_TRUE(cursor.next_member(key));
    EXPECT_EQ(key, "a");
    EXPECT_EQ(cursor.key_offset(), 2U);
    EXPECT_EQ(cursor.comma_offset(), JsonCursor::kNone);
    EXPECT_EQ(cursor.skip_value(), "1");
    ASSERT_TRUE(cursor.next_member(key));
    EXPECT_EQ(key, "b");
    EXPECT_EQ(cursor.comma_offset(), 9U);
    ASSERT_TRUE(cursor.begin_array());
    std::vector<std::string> elements;
    while (cursor.next_element()) {
        elements.emplace_back(cursor.skip_value());
    }
    EXPECT_EQ(elements, (std::vector<std::string>{"\"x\"", "{\"c\":[]}", "null"}));
    ASSERT_TRUE(cursor.next_member(key));
    EXPECT_EQ(cursor.skip_value(), R"("\"}")");
    EXPECT_FALSE(cursor.next_member(key));
    EXPECT_TRUE(cursor.at_end());
}

TEST(JsonCursor, FailsOnBrokenGrammar) {
    for (const char* text :
         {"{", "{\"a\"}", "{\"a\":}", "{\"a\":1", "{\"a\":1 \"b\":2}", "{\"a\":1,}", "{a:1}",
          "{\"a\":[}]}", "{\"a\":[1}", "{\"a\":\"x}", "{\"a\":\"x\\", "{,}", "{\"a\":1}x"}) {
        JsonCursor cursor(text);
        ASSERT_TRUE(cursor.begin_object()) << text;
        std::string_view key;
        while (cursor.next_member(key)) {
            cursor.skip_value();
        }
        EXPECT_FALSE(cursor.at_end()) << text;
    }
}

TEST(JsonCursor, ConsumesNothingWhenTheKindDiffers) {
    JsonCursor cursor("[1]");
    EXPECT_FALSE(cursor.begin_object());
    EXPECT_FALSE(cursor.failed());
    EXPECT_EQ(cursor.skip_value(), "[1]");
    EXPECT_FALSE(JsonCursor("").begin_object());
}

TEST(JsonCursor, LimitsDepth) {
    EXPECT_EQ(JsonCursor(std::string(64, '[') + std::string(64, ']')).skip_value().size(), 128U);
    EXPECT_EQ(JsonCursor(std::string(65, '[') + std::string(65, ']')).skip_value(), "");
}

TEST(FindByte, FindsAtEveryOffset) {
    for (std::size_t size = 0; size < 40; ++size) {
        const std::string text(size, 'x');
        EXPECT_EQ(find_either(text.data(), text.data() + size, 'a', 'b'), text.data() + size);
        for (std::size_t at = 0; at < size; ++at) {
            std::string marked = text;
            marked[at] = at % 2 == 0 ? 'a' : 'b';
            EXPECT_EQ(find_either(marked.data(), marked.data() + size, 'a', 'b'),
                      marked.data() + at);
        }
    }
}

}  // namespace
}  // namespace millrace::metrics
