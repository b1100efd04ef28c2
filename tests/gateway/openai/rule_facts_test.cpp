#include "gateway/openai/rule_facts.hpp"

#include <gtest/gtest.h>

#include <map>
#include <optional>

namespace millrace::openai {
namespace {

using Value = routing::BodyField::Value;

routing::RuleSet rules_about(const std::vector<std::string>& names) {
    routing::TicketDirectory tickets;
    routing::ModelRule rule;
    rule.targets = {{"m", 1}};
    for (const auto& name : names) {
        rule.fields.push_back({name, {}, {}});
    }
    auto set = routing::RuleSet::compile({rule}, "smart", tickets);
    EXPECT_TRUE(set);
    return std::move(*set);
}

class RuleInputsTest : public testing::Test {
protected:
    const routing::RuleFacts& read(const std::string& text,
                                   const std::vector<std::string>& names = {}) {
        body = text;
        Peek peek;
        auto fields = peek.finish(body);
        EXPECT_TRUE(fields) << text;
        inputs.emplace();
        inputs->read_json(*fields, body, rules = rules_about(names));
        return inputs->facts(0.25F, "gold");
    }
    std::map<std::string, Value> fields(const std::string& text,
                                        const std::vector<std::string>& names) {
        std::map<std::string, Value> out;
        for (const auto& field : read(text, names).fields) {
            EXPECT_TRUE(out.emplace(field.name, field.value).second) << field.name;
        }
        return out;
    }

    std::string body;
    routing::RuleSet rules;
    std::optional<RuleInputs> inputs;  // one per request
};

TEST_F(RuleInputsTest, TakesSizesToolsImagesAndTheTier) {
    const auto& facts =
        read(R"({"messages": [{"content": [{"type": "image_url"}]}], "tools": [{}],)"
             R"( "max_tokens": 9})");
    EXPECT_EQ(facts.prompt_bytes,
              std::string_view(R"([{"content": [{"type": "image_url"}]}][{}])").size());
    EXPECT_EQ(facts.prompt_tokens, facts.prompt_bytes / 4);
    EXPECT_TRUE(facts.has_tools);
    EXPECT_TRUE(facts.has_images);
    EXPECT_EQ(facts.max_tokens, 9U);
    EXPECT_EQ(facts.tier, "gold");
    EXPECT_TRUE(facts.fields.empty());
}

TEST_F(RuleInputsTest, PrefersTheNewerNamesOfMaxTokens) {
    EXPECT_EQ(read(R"({"max_tokens": 1, "max_completion_tokens": 2})").max_tokens, 2U);
    EXPECT_EQ(read(R"({"max_output_tokens": 3})").max_tokens, 3U);
    EXPECT_EQ(read(R"({"model": "m"})").max_tokens, std::nullopt);
}

TEST_F(RuleInputsTest, ReadsTheNamedKeysOnly) {
    const auto found = fields(R"({"a": "x\ny", "b": 2.5, "c": true, "d": [1], "e": {"a": 9},)"
                              R"( "f": null, "other": 1, "g": -1e2})",
                              {"a", "b", "c", "d", "e", "f", "g", "absent"});
    EXPECT_EQ(found, (std::map<std::string, Value>{{"a", std::string_view("x\ny")},
                                                   {"b", 2.5},
                                                   {"c", true},
                                                   {"d", std::monostate{}},
                                                   {"e", std::monostate{}},
                                                   {"g", -100.0}}));
}

TEST_F(RuleInputsTest, ReadsAKeyAsServersDo) {
    EXPECT_EQ(fields(R"({"seed": 1, "seed": "two", "s\u0065ed": 3})", {"seed"}),
              (std::map<std::string, Value>{{"seed", 3.0}}))
        << "the last one counts, however it is spelled";
    EXPECT_EQ(fields(R"({"seed": 1, "seed": null})", {"seed"}), (std::map<std::string, Value>{}));
    EXPECT_EQ(fields(R"({"nested": {"seed": 1}})", {"seed"}), (std::map<std::string, Value>{}));
    EXPECT_EQ(fields(R"({"seed": 01})", {"seed"}), (std::map<std::string, Value>{}));
}

TEST_F(RuleInputsTest, KnowsOnlyTheSizeOfOtherBodies) {
    inputs.emplace().read_other("12345678");
    const auto& facts = inputs->facts(0.5F, "");
    EXPECT_EQ(facts.prompt_bytes, 8U);
    EXPECT_EQ(facts.prompt_tokens, 4U);
    EXPECT_FALSE(facts.has_tools);
}

}  // namespace
}  // namespace millrace::openai
