#include "metrics/tokens/json_text.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace millrace::metrics {
namespace {

TEST(JsonText, UnescapesEveryEscape) {
    EXPECT_EQ(json_unescape(R"(mod\u0065l)"), "model");
    EXPECT_EQ(json_unescape(R"(\"\\\/\b\f\n\r\t)"), "\"\\/\b\f\n\r\t");
    EXPECT_EQ(json_unescape(R"(\u00e9\u20ac\ud83d\ude00)"), "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80");
    EXPECT_EQ(json_unescape(""), "");
}

TEST(JsonText, RefusesWhatIsNotAJsonString) {
    for (const char* raw : {R"(\x)", R"(\)", R"(\u12)", R"(\u12g4)", R"(\ud83d)", R"(\ud83dx)",
                            R"(\ude00)", R"(\ud83d\u0041)", "a\nb", "\x01", "\xC0\xAF",
                            "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xFF", "\xC3"}) {
        EXPECT_EQ(json_unescape(raw), std::nullopt) << raw;
    }
}

TEST(JsonText, WritesStringsThatReadBack) {
    std::string out;
    append_json_string(out, "a\"\\\n\x01\xC3\xA9");
    EXPECT_EQ(out, "\"a\\\"\\\\\\n\\u0001\xC3\xA9\"");
    EXPECT_EQ(json_unescape(out.substr(1, out.size() - 2)), "a\"\\\n\x01\xC3\xA9");
    out.clear();
    append_json_string(out, "\xFFz");
    EXPECT_EQ(out, "\"\xEF\xBF\xBDz\"");
}

TEST(JsonText, ReadsWholeNumbersOnly) {
    EXPECT_EQ(json_uint("0"), 0U);
    EXPECT_EQ(json_uint("18446744073709551615"), std::numeric_limits<std::uint64_t>::max());
    for (const char* text :
         {"", "-1", "+1", "01", "1.0", "1e3", "18446744073709551616", "null", " 1"}) {
        EXPECT_EQ(json_uint(text), std::nullopt) << text;
    }
}

TEST(JsonText, TellsScalars) {
    for (const char* text : {"true", "false", "null", "0", "-0", "1.5", "1e400", "-1.5E-3", "10"}) {
        EXPECT_TRUE(is_json_scalar(text)) << text;
    }
    for (const char* text :
         {"", "nul", "NaN", "Infinity", "-", "01", "1.", ".5", "1e", "+1", "truee", "1 2"}) {
        EXPECT_FALSE(is_json_scalar(text)) << text;
    }
}

TEST(JsonText, AppendsDigits) {
    std::string out = "n=";
    append_uint(out, std::numeric_limits<std::uint64_t>::max());
    EXPECT_EQ(out, "n=18446744073709551615");
}

}  // namespace
}  // namespace millrace::metrics
