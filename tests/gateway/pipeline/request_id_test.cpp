#include "gateway/pipeline/request_id.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <utility>

namespace millrace::gateway {
namespace {

WallTime at(std::int64_t milliseconds) {
    return WallTime(std::chrono::milliseconds(milliseconds));
}

TEST(RequestId, IsAVersionSevenUuidOfItsMillisecond) {
    Random random(1);
    for (int i = 0; i < 1000; ++i) {
        const RequestId id(at(0x0123'4567'89ab), random);
        const std::string text(id.view());
        ASSERT_EQ(text.size(), 36U);
        EXPECT_EQ(text.substr(0, 15), "01234567-89ab-7") << text;
        EXPECT_EQ(text[18], '-');
        EXPECT_EQ(text[23], '-');
        EXPECT_NE(std::string("89ab").find(text[19]), std::string::npos) << "variant of " << text;
        EXPECT_EQ(text.find_first_not_of("0123456789abcdef-"), std::string::npos) << text;
        EXPECT_TRUE(is_acceptable_request_id(text)) << "another gateway of ours keeps it";
    }
}

TEST(RequestId, IsNewEveryTimeEvenWithinAMillisecond) {
    Random random(1);
    std::set<std::string> seen;
    for (int i = 0; i < 10'000; ++i) {
        EXPECT_TRUE(seen.emplace(RequestId(at(1), random).view()).second);
    }
}

TEST(RequestId, SortsByTime) {
    Random random(1);
    std::string last;
    for (std::int64_t ms = 1'700'000'000'000; ms < 1'700'000'000'500; ++ms) {
        std::string next(RequestId(at(ms), random).view());
        EXPECT_LT(last, next);
        last = std::move(next);
    }
}

TEST(RequestId, KeepsAClientsOwnOnlyWhenItIsHarmless) {
    const std::pair<std::string, bool> cases[] = {{"a", true},
                                                  {"ABC-xyz_0.9", true},
                                                  {std::string(64, 'a'), true},
                                                  {std::string(65, 'a'), false},
                                                  {"", false},
                                                  {"a b", false},
                                                  {"a/b", false},
                                                  {"a\"b", false},
                                                  {"a\nb", false},
                                                  {"a%20", false},
                                                  {"\xC3\xA9", false},
                                                  {std::string("a\0b", 3), false}};
    for (const auto& [id, acceptable] : cases) {
        EXPECT_EQ(is_acceptable_request_id(id), acceptable) << id;
    }
}

TEST(Traceparent, IsVersionZeroWithIdsThatAreNotZero) {
    const std::string trace(31, '0');
    const std::string good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    EXPECT_TRUE(is_valid_traceparent(good));
    EXPECT_TRUE(is_valid_traceparent("00-" + trace + "1-0000000000000001-00"));
    const auto changed = [&good](std::size_t position, char c) {
        auto bad = good;
        bad[position] = c;
        return bad;
    };
    const std::string bad[] = {"",
                               good + "0",
                               good + "-x",
                               good.substr(0, 54),
                               changed(1, '1'),
                               changed(2, '_'),
                               changed(35, '_'),
                               changed(52, '_'),
                               changed(3, 'A'),
                               changed(40, 'G'),
                               changed(54, '-'),
                               "00-" + trace + "0-00f067aa0ba902b7-01",
                               "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"};
    for (const auto& value : bad) {
        EXPECT_FALSE(is_valid_traceparent(value)) << value;
    }
}

}  // namespace
}  // namespace millrace::gateway
