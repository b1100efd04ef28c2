#include "bench/vllm_sim/json_scan.hpp"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace millrace::vllm_sim {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

/// The members, or {{"!", "failed"}}.
Pairs members(std::string_view json) {
    Pairs found;
    ObjectScanner scanner(json);
    Member member;
    while (scanner.next(member)) {
        found.emplace_back(member.key, std::string(member.value));
    }
    return scanner.failed() ? Pairs{{"!", "failed"}} : found;
}

TEST(JsonScan, ReadsMembersInOrder) {
    EXPECT_EQ(
        members(R"( {"a" : 1, "b":"x\"}{\\" ,"c":[{"d":"]"}],"mod\u0065l":null} )"),
        (Pairs{{"a", "1"}, {"b", R"("x\"}{\\")"}, {"c", R"([{"d":"]"}])"}, {"model", "null"}}));
    EXPECT_EQ(members("{}"), Pairs{});
}

TEST(JsonScan, RefusesWhatIsNotOneBalancedObject) {
    const Pairs failed{{"!", "failed"}};
    for (const char* const json :
         {"", "[]", "{", R"({"a":1)", R"({"a":1,})", R"({"a" 1})", R"({"a":})", R"({"a":1} x)",
          R"({"a":1 "b":2})", R"({"a":"x)", R"({"a":[1})", R"({a:1})"}) {
        EXPECT_EQ(members(json), failed) << json;
    }
}

TEST(JsonScan, CountsElementsAndDecodesStrings) {
    EXPECT_EQ(array_size("[]"), 0U);
    EXPECT_EQ(array_size(R"([ "a,b" , [1,2], {"x":1} ])"), 3U);
    EXPECT_EQ(array_size("7"), 0U);
    EXPECT_EQ(text_of(R"("a\n\u00e9")"), "a\n\xc3\xa9");
    EXPECT_EQ(text_of("12"), "");
    EXPECT_EQ(member_of(R"({"a":{"b":2},"b":3})", "b"), "3");
}

}  // namespace
}  // namespace millrace::vllm_sim
