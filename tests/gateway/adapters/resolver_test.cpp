#include "gateway/adapters/resolver.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::gateway {
namespace {

TEST(Resolver, GivesEveryAddressOfANameOnce) {
    const auto addresses = resolve_name("localhost");
    ASSERT_TRUE(addresses) << addresses.error().detail;
    EXPECT_THAT(*addresses, testing::Each(testing::AnyOf("127.0.0.1", "::1")));
    EXPECT_TRUE(std::ranges::is_sorted(*addresses, std::less_equal<>()));
}

TEST(Resolver, PassesLiteralsThrough) {
    EXPECT_THAT(resolve_name("10.1.2.3").value(), testing::ElementsAre("10.1.2.3"));
}

TEST(Resolver, NamesTheNameThatDoesNotResolve) {
    // No server is asked for a label of more than 63 characters, so the test needs no network.
    const auto addresses = resolve_name(std::string(70, 'x') + ".invalid");
    ASSERT_FALSE(addresses);
    EXPECT_THAT(addresses.error().detail, testing::AllOf(testing::HasSubstr(".invalid"),
                                                         testing::HasSubstr("does not resolve")));
}

}  // namespace
}  // namespace millrace::gateway
