#include "gateway/runtime/pieces.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace millrace::gateway {
namespace {

std::string joined(Pieces pieces) {
    std::string all;
    for (const auto piece : pieces) {
        all += piece;
    }
    return all;
}

TEST(Pieces, LeaveExactlyWhatWasNotWrittenAtEveryCut) {
    const std::vector<std::string_view> whole{"", "ab", "", "", "cde", "f", ""};
    const std::string text = "abcdef";
    EXPECT_EQ(total_size(whole), text.size());
    for (std::size_t written = 0; written <= text.size(); ++written) {
        auto pieces = whole;
        const auto rest = drop_written(pieces, written);
        EXPECT_EQ(joined(rest), text.substr(written)) << written;
        EXPECT_EQ(total_size(rest), text.size() - written) << written;
        EXPECT_TRUE(rest.empty() || !rest.front().empty())
            << "no empty piece in front: " << written;
        EXPECT_EQ(rest.empty(), written == text.size()) << "empty means done: " << written;
    }
}

TEST(Pieces, AreDroppedInStepsAsWellAsAtOnce) {
    std::vector<std::string_view> all{"abc", "defg", "h"};
    Pieces rest = all;
    std::string seen;
    while (!rest.empty()) {
        seen += rest.front().front();
        rest = drop_written(rest, 1);
    }
    EXPECT_EQ(seen, "abcdefgh");
}

TEST(Pieces, OfNothingAreEmpty) {
    EXPECT_EQ(total_size({}), 0U);
    EXPECT_TRUE(drop_written({}, 0).empty());
    std::vector<std::string_view> blanks{"", ""};
    EXPECT_TRUE(drop_written(blanks, 0).empty());
}

}  // namespace
}  // namespace millrace::gateway
