#include "config/base/assert.hpp"

#include <gtest/gtest.h>

namespace millrace {
namespace {

TEST(AssertDeathTest, StopsTheProcessAndNamesTheInvariant) {
    const int two = 2;
    MILLRACE_ASSERT(two == 2);
    EXPECT_DEATH(MILLRACE_ASSERT(two == 3), "two == 3");
}

}  // namespace
}  // namespace millrace
