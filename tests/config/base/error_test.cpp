#include "config/base/error.hpp"

#include <gtest/gtest.h>

#include <set>

namespace millrace {
namespace {

TEST(Error, EveryCodeHasItsOwnSnakeCaseName) {
    std::set<std::string_view> names;
    for (int i = 0; i < static_cast<int>(Errc::kErrcCount); ++i) {
        const auto name = to_string(static_cast<Errc>(i));
        EXPECT_FALSE(name.empty()) << i;
        EXPECT_EQ(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_"), std::string_view::npos);
        EXPECT_TRUE(names.insert(name).second) << name;
    }
    EXPECT_EQ(to_string(Errc::model_not_found), "model_not_found");
}

TEST(Error, EveryOriginHasAName) {
    EXPECT_EQ(to_string(Origin::downstream), "downstream");
    EXPECT_EQ(to_string(Origin::upstream), "upstream");
    EXPECT_EQ(to_string(Origin::internal), "internal");
    EXPECT_EQ(to_string(Origin::policy), "policy");
}

TEST(Error, FailureCarriesAllItsParts) {
    const Result<int> result = failure(Errc::bad_json, Origin::downstream, "The body is not JSON.");
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::bad_json);
    EXPECT_EQ(result.error().origin, Origin::downstream);
    EXPECT_EQ(result.error().detail, "The body is not JSON.");
}

}  // namespace
}  // namespace millrace
