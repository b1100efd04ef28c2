#include "gateway/openai/body_edit.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace millrace::openai {
namespace {

std::string edited(const std::string& body, std::string_view name, UsageInjection usage = {}) {
    Peek peek;
    const auto fields = peek.finish(body);
    EXPECT_TRUE(fields) << body;
    const BodyEdit edit = edits_for(*fields, body, name, usage);
    const std::string out = edit.apply(body);
    EXPECT_EQ(out.size(), edit.length(body.size()));
    EXPECT_FALSE(nlohmann::json::parse(out, nullptr, false).is_discarded()) << out;
    return out;
}

TEST(BodyEdit, WritesTheServedName) {
    EXPECT_EQ(edited(R"({"a":1, "model" : "x","b":2})", "y"), R"({"a":1, "model" : "y","b":2})");
    EXPECT_EQ(edited(R"({"model":null})", "y"), R"({"model":"y"})");
    EXPECT_EQ(edited(R"({ "a":1})", "y"), R"({"model":"y", "a":1})");
    EXPECT_EQ(edited("{ }", "y"), R"({"model":"y" })");
    EXPECT_EQ(edited(R"({"model":"x"})", "a\"b\\\n"), R"({"model":"a\"b\\\n"})");
    EXPECT_EQ(edited(R"({"mod\u0065l":"\u0078"})", "x"), R"({"mod\u0065l":"x"})")
        << "spelled plainly for the backend";
}

TEST(BodyEdit, DoesNothingWhenNothingChanges) {
    const std::string body = R"({"model":"x","stream":false})";
    Peek peek;
    const auto fields = peek.finish(body);
    const BodyEdit edit = edits_for(*fields, body, "x", {.final_usage = true, .continuous = true});
    EXPECT_TRUE(edit.empty());
    std::vector<std::string_view> pieces;
    edit.gather(body, pieces);
    ASSERT_EQ(pieces.size(), 1U);
    EXPECT_EQ(pieces[0].data(), body.data());
}

TEST(BodyEdit, InjectsUsageBesideTheClientsOptions) {
    constexpr UsageInjection kBoth{.final_usage = true, .continuous = true};
    constexpr UsageInjection kFinal{.final_usage = true, .continuous = false};
    const std::string both = R"("include_usage":true,"continuous_usage_stats":true)";
    struct Case {
        std::string options;  // of the client
        UsageInjection usage;
        std::string expected;
    };
    for (const Case& c : std::vector<Case>{
             {"null", kBoth, "{" + both + "}"},
             {"{}", kBoth, "{" + both + "}"},
             {"{ }", kFinal, R"({"include_usage":true })"},
             {R"({"x":1})", kBoth, "{" + both + R"(,"x":1})"},
             {R"({"include_usage":true})", kFinal, R"({"include_usage":true})"},
             {R"({"include_usage":true})", kBoth,
              R"({"continuous_usage_stats":true,"include_usage":true})"},
             {R"({"include_usage":false,"x":1})", kFinal, R"({"include_usage":true,"x":1})"},
             {R"({"continuous_usage_stats":null,"include_usage":false})", kBoth,
              R"({"continuous_usage_stats":true,"include_usage":true})"},
             {R"({"continuous_usage_stats":false})", kFinal,
              R"({"include_usage":true,"continuous_usage_stats":false})"},
             {R"({"x":1})", {}, R"({"x":1})"},
         }) {
        const std::string body =
            R"({"stream":true,"model":"m","stream_options":)" + c.options + "}";
        EXPECT_EQ(edited(body, "m", c.usage),
                  R"({"stream":true,"model":"m","stream_options":)" + c.expected + "}");
        const std::string before =
            R"({"stream":true,"stream_options":)" + c.options + R"(,"model":"m"})";
        EXPECT_EQ(edited(before, "other", c.usage),
                  R"({"stream":true,"stream_options":)" + c.expected + R"(,"model":"other"})");
    }
    EXPECT_EQ(edited(R"({"stream":true})", "m", kFinal),
              R"({"model":"m","stream_options":{"include_usage":true},"stream":true})");
}

TEST(BodyEdit, EditsTheOriginalAgain) {
    const std::string body = R"({"model":"x"})";
    EXPECT_EQ(edited(body, "first"), R"({"model":"first"})");
    EXPECT_EQ(edited(body, "second"), R"({"model":"second"})");
}

TEST(BodyEdit, KeepsOrderAndSurvivesMoves) {
    BodyEdit edit;
    edit.replace({4, 1}, "E");
    edit.insert(0, "<");
    edit.insert(0, "[");
    edit.replace({5, 0}, "]");
    const BodyEdit moved = std::move(edit);
    EXPECT_EQ(moved.apply("abcde"), "<[abcdE]");
}

}  // namespace
}  // namespace millrace::openai
