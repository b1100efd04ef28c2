#include "bench/load/events.hpp"

#include <gtest/gtest.h>

namespace millrace::load {
namespace {

std::string content(const std::string& text, const std::string& more = {}) {
    return R"(data: {"choices":[{"index":0,"delta":{"content":")" + text + R"("}}])" + more +
           "}\n\n";
}

class LoadEvents : public testing::Test {
protected:
    std::string stream(std::initializer_list<std::uint32_t> serials) const {
        std::string text = content("");
        for (const std::uint32_t serial : serials) {
            text += content(tokens_[serial]);
        }
        return text + "data: [DONE]\n\n";
    }

    std::vector<std::string> tokens_ = expected_tokens(4);
    EventChecker checker_{tokens_};
};

TEST_F(LoadEvents, AWholeStreamIsComplete) {
    checker_.feed(stream({0, 1, 2, 3}));
    EXPECT_TRUE(checker_.complete());
    EXPECT_EQ(checker_.tokens(), 4U);
    EXPECT_EQ(checker_.events(), 6U);
    EXPECT_EQ(checker_.usage() + checker_.wrong() + checker_.lost() + checker_.errors(), 0U);
}

TEST_F(LoadEvents, CutsDoNotMatter) {
    const std::string text = stream({0, 1, 2, 3});
    for (std::size_t cut = 0; cut <= text.size(); ++cut) {
        checker_.reset();
        checker_.feed(std::string_view(text).substr(0, cut));
        checker_.feed(std::string_view(text).substr(cut));
        EXPECT_TRUE(checker_.complete()) << cut;
    }
    checker_.reset();
    for (const char c : text) {
        EXPECT_FALSE(checker_.complete());
        checker_.feed({&c, 1});
    }
    EXPECT_TRUE(checker_.complete());
}

TEST_F(LoadEvents, ALostEventIsCounted) {
    checker_.feed(stream({0, 3}));
    EXPECT_EQ(checker_.lost(), 2U);
    EXPECT_EQ(checker_.tokens(), 2U);
    EXPECT_FALSE(checker_.complete());
}

TEST_F(LoadEvents, ALostTailIsNotComplete) {
    checker_.feed(stream({0, 1, 2}));
    EXPECT_FALSE(checker_.complete());
    EXPECT_EQ(checker_.lost(), 0U);
}

TEST_F(LoadEvents, RepeatedReorderedAndChangedEventsAreWrong) {
    checker_.feed(stream({0, 0, 1, 2, 3}));
    EXPECT_EQ(checker_.wrong(), 1U);
    EXPECT_FALSE(checker_.complete());
    checker_.reset();
    checker_.feed(content("bogus0 "));
    EXPECT_EQ(checker_.wrong(), 1U);
}

TEST_F(LoadEvents, NothingMayFollowDone) {
    checker_.feed(stream({0, 1, 2, 3}));
    checker_.feed("data: [DONE]\n\n");
    EXPECT_FALSE(checker_.complete());
}

TEST_F(LoadEvents, AnIncompleteEventIsNotComplete) {
    checker_.feed(stream({0, 1, 2, 3}) + "data: ");
    EXPECT_FALSE(checker_.complete());
}

TEST_F(LoadEvents, UsageAndErrorsAreSeen) {
    checker_.feed(content(tokens_[0], R"(,"usage":{"completion_tokens":1})"));
    EXPECT_EQ(checker_.usage(), 1U);
    EXPECT_EQ(checker_.tokens(), 1U);
    checker_.feed("data: {\"error\":{\"message\":\"no\"}}\n\n");
    EXPECT_EQ(checker_.errors(), 1U);
}

}  // namespace
}  // namespace millrace::load
