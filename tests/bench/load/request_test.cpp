#include "bench/load/request.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace millrace::load {
namespace {

TEST(LoadRequest, BodyHasTheAskedLengthAndIsJson) {
    for (const bool first : {false, true}) {
        for (const std::uint32_t bytes : {120U, 1024U, 2071U, 2100U, 4127U, 16'384U, 225'280U}) {
            const std::string body = build_body("sim", bytes, first, !first);
            EXPECT_EQ(body.size(), bytes);
            const auto json = nlohmann::json::parse(body, nullptr, false);
            ASSERT_FALSE(json.is_discarded()) << bytes;
            EXPECT_EQ(json["model"], "sim");
            EXPECT_EQ(json.value("stream", false), !first);
            EXPECT_FALSE(json["messages"].empty());
            EXPECT_EQ(body.find("\"model\"") < body.find("\"messages\""), first);
        }
    }
}

TEST(LoadRequest, EveryLengthIsMet) {
    for (std::uint32_t bytes = 120; bytes < 6500; bytes += 7) {
        EXPECT_EQ(build_body("sim", bytes, false, false).size(), bytes);
    }
}

TEST(LoadRequest, HeadsCarryIdsAndKeysOnlyWhenAsked) {
    Options options;
    options.model_header = true;
    std::string out;
    const RequestTemplate plain(options, false);
    EXPECT_EQ(plain.head(0, out), plain.head(7, out));
    EXPECT_TRUE(plain.head(0, out).contains("\r\nx-model-id: sim\r\n"));
    EXPECT_FALSE(plain.head(0, out).contains("x-request-id"));
    EXPECT_TRUE(plain.head(0, out).ends_with("\r\n\r\n"));
    options.id_prefix = "a";
    options.sticky_header = "x-session";
    options.sticky_keys = 3;
    const RequestTemplate keyed(options, true);
    const auto head = keyed.head(7, out);
    EXPECT_TRUE(head.contains("\r\nx-request-id: a-k1-7\r\n")) << head;
    EXPECT_TRUE(head.contains("\r\nx-session: key-1\r\n"));
    EXPECT_TRUE(head.contains("\r\nx-sim-tokens: 50\r\n"));
    EXPECT_TRUE(head.ends_with("\r\n\r\n"));
}

}  // namespace
}  // namespace millrace::load
