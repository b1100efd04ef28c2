#include "config/base/percent.hpp"

#include <gtest/gtest.h>

#include <utility>

namespace millrace {
namespace {

TEST(Percent, DecodesEscapesOnceAndLeavesBrokenOnesAlone) {
    const std::pair<std::string_view, std::string> cases[] = {
        {"", ""},
        {"plain-._~", "plain-._~"},
        {"meta%2Fllama", "meta/llama"},
        {"%41%4a%4A", "AJJ"},
        {"%25%32%46", "%2F"},  // what comes out is not decoded again
        {"%252F", "%2F"},
        {"a+b", "a+b"},  // a plus is a plus in a path
        {"%", "%"},
        {"%4", "%4"},
        {"x%4", "x%4"},
        {"%G1", "%G1"},
        {"%1G", "%1G"},
        {"%%41", "%A"},
        {"%4%41", "%4A"},
        {"%C3%A9", "\xC3\xA9"},
    };
    for (const auto& [text, expected] : cases) {
        EXPECT_EQ(percent_decoded(text), expected) << text;
    }
}

TEST(Percent, KeepsBytesThatWouldEndAStringOrLookNegative) {
    EXPECT_EQ(percent_decoded("a%00b"), std::string("a\0b", 3));
    EXPECT_EQ(percent_decoded("%FF%80"), "\xFF\x80");
}

TEST(Percent, RefusesToUseWhatIsBrokenOrHidesControlCharacters) {
    EXPECT_EQ(percent_decoded_strictly("meta%2Fllama"), "meta/llama");
    EXPECT_EQ(percent_decoded_strictly("%252F"), "%2F");
    EXPECT_EQ(percent_decoded_strictly("%C3%A9"), "\xC3\xA9");
    for (const auto* text : {"%", "%4", "x%4", "%G1", "%1G", "a%00b", "%0a", "%7F", "a\tb"}) {
        EXPECT_EQ(percent_decoded_strictly(text), std::nullopt) << text;
    }
}

TEST(Percent, ReadsAPlusAsASpaceOnlyInForms) {
    EXPECT_EQ(percent_decoded_strictly("a+b%2B"), "a+b+");
    EXPECT_EQ(percent_decoded_strictly("a+b%2B", true), "a b+");
}

}  // namespace
}  // namespace millrace
