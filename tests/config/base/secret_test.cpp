#include "config/base/secret.hpp"

#include <gtest/gtest.h>

#include <ostream>
#include <type_traits>

namespace millrace {
namespace {

template <class T>
concept Printable = requires(std::ostream& out, const T& value) { out << value; };

TEST(Secret, CannotBePrintedOrConverted) {
    static_assert(!Printable<Secret>);
    static_assert(!std::is_convertible_v<Secret, std::string>);
    static_assert(!std::is_convertible_v<std::string, Secret>);
    EXPECT_EQ(Secret("sesame").reveal(), "sesame");
}

TEST(Secret, LeavesNothingBehindWhenMoved) {
    Secret first("short");
    Secret second("a secret that is longer than any small-string buffer");
    Secret moved(std::move(first));
    EXPECT_EQ(moved.reveal(), "short");
    EXPECT_TRUE(first.empty());  // NOLINT(bugprone-use-after-move): that is the promise
    moved = std::move(second);
    EXPECT_EQ(moved.reveal(), "a secret that is longer than any small-string buffer");
    EXPECT_TRUE(second.empty());  // NOLINT(bugprone-use-after-move)
}

TEST(Secret, ComparesByValue) {
    EXPECT_EQ(Secret("a"), Secret("a"));
    EXPECT_NE(Secret("a"), Secret("b"));
    EXPECT_TRUE(Secret().empty());
}

}  // namespace
}  // namespace millrace
