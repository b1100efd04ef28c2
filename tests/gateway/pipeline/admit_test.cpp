#include "gateway/pipeline/admit.hpp"

#include <gtest/gtest.h>

#include <array>

namespace millrace::gateway {
namespace {

TEST(LoweredPriority, IsNeverHigherThanConfigured) {
    const auto with = [](std::string_view value) {
        const std::array<HeaderField, 2> fields{HeaderField{"host", "h"},
                                                HeaderField{"X-Millrace-Priority", value}};
        return lowered_priority(100, fields);
    };
    EXPECT_EQ(with("0"), 0U);
    EXPECT_EQ(with("99"), 99U);
    EXPECT_EQ(with("100"), 100U);
    EXPECT_EQ(with("101"), 100U);
    EXPECT_EQ(with("4294967297"), 100U) << "not cut to 32 bits";
    for (const auto* garbage : {"", "-1", "low", "1.5", " 5", "5 ", "05", "99999999999999999999"}) {
        EXPECT_EQ(with(garbage), 100U) << garbage;
    }
    EXPECT_EQ(lowered_priority(100, {}), 100U);
}

}  // namespace
}  // namespace millrace::gateway
