#include "routing/rules.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <map>

namespace millrace::routing {
namespace {

constexpr std::uint64_t kKiB = 1024;

ModelRule rule(std::string name, std::string model) {
    ModelRule out;
    out.name = std::move(name);
    out.targets = {{std::move(model), 1}};
    return out;
}

RuleSet compiled(std::vector<ModelRule> rules) {
    TicketDirectory tickets;
    auto set = RuleSet::compile(std::move(rules), "auto", tickets);
    EXPECT_TRUE(set) << set.error();
    return std::move(*set);
}

bool applies(const ModelRule& wanted, const RuleFacts& facts) {
    return compiled({wanted}).choose(facts).has_value();
}

/// The one sentence about a rule.
std::string sentence(const ModelRule& wanted, const RuleFacts& facts) {
    Trace trace;
    compiled({wanted}).choose(facts, &trace);
    return trace.lines().size() == 1 ? trace.lines().front() : "";
}

std::string error_of(std::vector<ModelRule> rules) {
    TicketDirectory tickets;
    const auto set = RuleSet::compile(std::move(rules), "auto", tickets);
    return set ? "" : set.error();
}

TEST(Rules, TheFirstThatAppliesNamesTheModel) {
    auto large = rule("long-prompts", "llama-70b");
    large.prompt_bytes.over = 32 * kKiB;
    auto tools = rule("tools", "llama-tools");
    tools.tools = true;
    const auto set = compiled({large, tools, rule("rest", "llama-8b")});
    RuleFacts facts;
    EXPECT_EQ(set.choose(facts)->model, "llama-8b");
    EXPECT_EQ(set.choose(facts)->rule, 2U);
    facts.has_tools = true;
    EXPECT_EQ(set.choose(facts)->model, "llama-tools");
    facts.prompt_bytes = 48 * kKiB;
    EXPECT_EQ(set.choose(facts)->model, "llama-70b");
    EXPECT_EQ(set.choose(facts)->rule_name, "long-prompts");
    EXPECT_FALSE(compiled({large}).choose(RuleFacts{})) << "none applies";
    EXPECT_FALSE(RuleSet().choose(facts));
}

TEST(Rules, RangesMeetWithoutGapOrOverlap) {
    struct Number {
        const char* what;
        std::function<RuleRange<std::uint64_t>&(ModelRule&)> range;
        std::function<void(RuleFacts&, std::uint64_t)> set;
    };
    const Number numbers[] = {{"bytes", [](ModelRule& r) -> auto& { return r.prompt_bytes; },
                               [](RuleFacts& f, std::uint64_t v) { f.prompt_bytes = v; }},
                              {"tokens", [](ModelRule& r) -> auto& { return r.prompt_tokens; },
                               [](RuleFacts& f, std::uint64_t v) { f.prompt_tokens = v; }},
                              {"max_tokens", [](ModelRule& r) -> auto& { return r.max_tokens; },
                               [](RuleFacts& f, std::uint64_t v) { f.max_tokens = v; }}};
    for (const auto& number : numbers) {
        auto low = rule("low", "a");
        number.range(low).up_to = 100;
        auto high = rule("high", "b");
        number.range(high).over = 100;
        auto both = rule("both", "c");
        number.range(both) = {50, 100};
        for (const std::uint64_t value : {0U, 50U, 51U, 100U, 101U}) {
            RuleFacts facts;
            number.set(facts, value);
            EXPECT_EQ(applies(low, facts), value <= 100) << number.what << value;
            EXPECT_EQ(applies(high, facts), value > 100) << number.what << value;
            EXPECT_EQ(applies(both, facts), value > 50 && value <= 100) << number.what << value;
        }
    }
}

TEST(Rules, WhatTheRequestDoesNotSayMeetsNoCondition) {
    auto small = rule("small", "a");
    small.max_tokens.up_to = 1'000;
    EXPECT_FALSE(applies(small, RuleFacts{}));
    EXPECT_EQ(sentence(small, RuleFacts{}), "Rule `small` does not apply: max_tokens absent.");
}

TEST(Rules, AskForToolsAndImagesOrTheirAbsence) {
    for (const bool wanted : {true, false}) {
        for (const bool present : {true, false}) {
            auto tools = rule("r", "a");
            tools.tools = wanted;
            auto images = rule("r", "a");
            images.images = wanted;
            RuleFacts facts;
            facts.has_tools = present;
            EXPECT_EQ(applies(tools, facts), wanted == present);
            EXPECT_EQ(applies(images, facts), wanted != true);
            facts = {};
            facts.has_images = present;
            EXPECT_EQ(applies(images, facts), wanted == present);
        }
    }
}

TEST(Rules, AskForOneOfSomeTiers) {
    auto paid = rule("paid", "a");
    paid.tiers = {"gold", "silver"};
    RuleFacts facts;
    EXPECT_FALSE(applies(paid, facts));
    facts.tier = "silver";
    EXPECT_TRUE(applies(paid, facts));
    facts.tier = "bronze";
    EXPECT_EQ(sentence(paid, facts), "Rule `paid` does not apply: tier \"bronze\".");
}

TEST(Rules, ReadHeaders) {
    using Match = HeaderCondition::Match;
    const HeaderField fields[] = {{"X-Team", "red"}, {"x-team", "search-eu"}, {"Empty", ""}};
    RuleFacts facts;
    facts.headers = fields;
    const struct {
        HeaderCondition condition;
        bool met;
    } cases[] = {
        {{"x-team", Match::present, ""}, true},      {{"empty", Match::present, ""}, true},
        {{"x-other", Match::present, ""}, false},    {{"x-team", Match::exact, "red"}, true},
        {{"x-team", Match::exact, "Red"}, false},    {{"x-team", Match::exact, "re"}, false},
        {{"X-TEAM", Match::prefix, "search"}, true}, {{"x-team", Match::prefix, "-eu"}, false},
        {{"x-other", Match::exact, ""}, false},
    };
    for (const auto& c : cases) {
        auto wanted = rule("r", "a");
        wanted.headers = {c.condition};
        EXPECT_EQ(applies(wanted, facts), c.met) << c.condition.name << c.condition.value;
    }
}

TEST(Rules, ReadBodyFields) {
    const BodyField fields[] = {{"seed", 7.0}, {"mode", std::string_view("fast")}, {"think", true}};
    RuleFacts facts;
    facts.fields = fields;
    const struct {
        FieldCondition condition;
        bool met;
    } cases[] = {
        {{"seed", {}, {}}, true},           {{"other", {}, {}}, false},
        {{"seed", 7.0, {}}, true},          {{"seed", 8.0, {}}, false},
        {{"seed", "7", {}}, false},         {{"seed", true, {}}, false},
        {{"mode", "fast", {}}, true},       {{"mode", "slow", {}}, false},
        {{"think", true, {}}, true},        {{"think", false, {}}, false},
        {{"seed", {}, {6.5, 7.0}}, true},   {{"seed", {}, {7.0, {}}}, false},
        {{"mode", {}, {0.0, {}}}, false},   {{"seed", 7.0, {0.0, 9.0}}, true},
        {{"seed", 8.0, {0.0, 9.0}}, false},
    };
    for (const auto& c : cases) {
        auto wanted = rule("r", "a");
        wanted.fields = {c.condition};
        EXPECT_EQ(applies(wanted, facts), c.met) << sentence(wanted, facts);
    }
}

TEST(Rules, WantAllConditions) {
    auto all = rule("all", "a");
    all.prompt_bytes.over = 10;
    all.tools = true;
    all.tiers = {"gold"};
    all.headers = {{"x-team", HeaderCondition::Match::present, ""}};
    all.fields = {{"seed", {}, {}}};
    const HeaderField headers[] = {{"x-team", "red"}};
    const BodyField fields[] = {{"seed", 1.0}};
    const RuleFacts everything{.prompt_bytes = 11,
                               .has_tools = true,
                               .tier = "gold",
                               .headers = headers,
                               .fields = fields};
    EXPECT_TRUE(applies(all, everything));
    const std::function<void(RuleFacts&)> takes_one_away[] = {
        [](RuleFacts& f) { f.prompt_bytes = 10; }, [](RuleFacts& f) { f.has_tools = false; },
        [](RuleFacts& f) { f.tier = "silver"; }, [](RuleFacts& f) { f.headers = {}; },
        [](RuleFacts& f) { f.fields = {}; }};
    for (const auto& take : takes_one_away) {
        auto less = everything;
        take(less);
        EXPECT_FALSE(applies(all, less)) << sentence(all, less);
    }
}

TEST(Rules, SplitExactlyByWeight) {
    TicketDirectory tickets;
    auto split = rule("split", "");
    split.targets = {{"a", 3}, {"b", 1}, {"c", 0}};
    const auto set = RuleSet::compile({split}, "auto", tickets);
    ASSERT_TRUE(set);
    std::map<std::string_view, int> counts;
    for (int i = 0; i < 200; ++i) {
        ++counts[set->choose(RuleFacts{})->model];
    }
    // The same rule of the next configuration goes on where this one is.
    const auto next = RuleSet::compile({split}, "auto", tickets);
    ASSERT_TRUE(next);
    for (int i = 0; i < 200; ++i) {
        ++counts[(i % 2 == 0 ? *set : *next).choose(RuleFacts{})->model];
    }
    EXPECT_EQ(counts, (std::map<std::string_view, int>{{"a", 300}, {"b", 100}}));
}

TEST(Rules, ExplainWhatDecided) {
    auto large = rule("long-prompts", "llama-70b");
    large.prompt_bytes.over = 32 * kKiB;
    large.tools = false;
    RuleFacts facts;
    facts.prompt_bytes = 48 * kKiB;
    EXPECT_EQ(sentence(large, facts),
              "Rule `long-prompts`: prompt 48 KiB > 32 KiB, tools absent -> model llama-70b.");
    facts.has_tools = true;
    EXPECT_EQ(sentence(large, facts), "Rule `long-prompts` does not apply: tools present.");
    facts.prompt_bytes = 32 * kKiB;
    EXPECT_EQ(sentence(large, facts),
              "Rule `long-prompts` does not apply: prompt 32 KiB <= 32 KiB.");
    facts.prompt_bytes = 32 * kKiB + 1;
    facts.has_tools = false;
    EXPECT_EQ(sentence(large, facts),
              "Rule `long-prompts`: prompt 32769 bytes > 32 KiB, tools absent -> model llama-70b.");
    auto rest = rule("rest", "");
    rest.targets = {{"a", 1}, {"b", 1}};
    EXPECT_EQ(sentence(rest, facts), "Rule `rest`: no conditions -> model a by weight.");
    auto typed = rule("typed", "a");
    typed.headers = {{"x-team", HeaderCondition::Match::prefix, "se"}};
    typed.fields = {{"seed", {}, {1.0, 8.5}}, {"mode", "fast", {}}};
    const HeaderField headers[] = {{"x-team", "sea\x1b[2J"}};
    const BodyField fields[] = {{"seed", 7.5}, {"mode", std::string_view("fast")}};
    facts.headers = headers;
    facts.fields = fields;
    EXPECT_EQ(sentence(typed, facts),
              "Rule `typed`: header x-team \"sea?[2J\", field seed 7.5 > 1, field seed 7.5 <= 8.5, "
              "field mode \"fast\" -> model a.");
}

TEST(Rules, RefuseWhatCannotWork) {
    auto nothing = rule("nothing", "a");
    nothing.targets = {{"a", 0}};
    EXPECT_EQ(error_of({nothing}),
              "The rule \"nothing\" has no target with a weight; give it a model.");
    nothing.targets.clear();
    EXPECT_NE(error_of({nothing}), "");
    auto empty = rule("empty", "a");
    empty.max_tokens = {100, 100};
    EXPECT_EQ(
        error_of({empty}),
        "The rule \"empty\" has a range that nothing is in; its lower bound must be below its "
        "upper bound.");
    auto curious = rule("curious", "a");
    for (std::size_t i = 0; i < RuleSet::kMaxFields; ++i) {
        curious.fields.push_back({"f" + std::to_string(i), {}, {}});
    }
    EXPECT_EQ(compiled({curious, curious}).fields().size(), RuleSet::kMaxFields);
    auto more = rule("more", "a");
    more.fields = {{"another", {}, {}}};
    EXPECT_EQ(
        error_of({curious, more}),
        "The rule \"more\" looks at one body field too many; the rules of a model may look at "
        "8.");
}

}  // namespace
}  // namespace millrace::routing
