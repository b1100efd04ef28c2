#include "routing/model_chooser.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "tests/routing/support.hpp"

namespace millrace::routing {
namespace {

using namespace testing;
using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

config::ModelRule rule_for(std::string name, std::string target) {
    config::ModelRule out;
    out.name = std::move(name);
    out.targets = {{std::move(target), 1}};
    return out;
}

/// `smart` (alias `clever`) sends large prompts to `large`, the rest to `small`; `auto` chooses
/// between both.
World world() {
    World out;
    out.backend("a");
    out.backend("b");
    config::Model smart;
    smart.id = "smart";
    smart.aliases = {"clever"};
    smart.rules = {rule_for("long", "large"), rule_for("rest", "small")};
    smart.rules[0].when.prompt_bytes = config::SizeRange{1'000, {}};
    config::Model automatic;
    automatic.id = "auto";
    automatic.automatic = config::AutoModel{.candidates = {"large", "small"}, .explore_percent = 0};
    out.config.models = {smart, automatic, model("large", {variant("v", 1, "a", "large-awq")}),
                         model("small", {variant("v", 1, "b")})};
    out.config.models[2].price = {{10'000'000}, {30'000'000}};
    out.config.models[3].price = {{1'000'000}, {1'000'000}};
    return out;
}

RuleFacts prompt(std::uint64_t bytes) {
    RuleFacts facts;
    facts.prompt_bytes = bytes;
    facts.prompt_tokens = bytes / 4;
    return facts;
}

Result<Decision> ask(World& world, std::string_view model, const RuleFacts& rules,
                     Trace* trace = nullptr) {
    auto facts = chat(model);
    facts.rules = &rules;
    return world.ask(facts, trace);
}

TEST(ModelChooser, SendsARequestToTheModelThatARuleNames) {
    auto w = world();
    w.publish();
    const auto large = ask(w, "smart", prompt(1'001));
    ASSERT_TRUE(large);
    EXPECT_EQ(large->model_id, "large");
    EXPECT_EQ(large->served_name, "large-awq");
    EXPECT_EQ(large->chosen_by, "smart");
    EXPECT_EQ(large->rule->model_id, "large") << "labels and policy are the chosen model's";
    EXPECT_EQ(outcome(large), "a");
    EXPECT_EQ(ask(w, "clever", prompt(1'000))->model_id, "small");
    EXPECT_EQ(ask(w, "clever", prompt(1'000))->chosen_by, "smart");
    EXPECT_EQ(w.ask(chat("", "smart"))->model_id, "small") << "nothing known of its body";
    EXPECT_EQ(ask(w, "large", prompt(0))->chosen_by, "");
}

TEST(ModelChooser, IsExplainedByTheRuleThatFired) {
    auto w = world();
    w.publish();
    Trace trace;
    ask(w, "smart", prompt(2'000), &trace);
    EXPECT_THAT(trace.lines(),
                ElementsAre("The header x-model-id names \"smart\": model \"smart\".",
                            "Rule `long`: prompt 2000 bytes > 1000 bytes -> model large.",
                            "The variants of model \"large\" apply.", HasSubstr("Variant v")));
}

TEST(ModelChooser, IsListedAndItsNamesAreKnown) {
    auto w = world();
    w.publish();
    std::vector<std::string> ids;
    for (const auto& known : w.catalog->models()) {
        ids.push_back(known.id);
    }
    EXPECT_THAT(ids, ElementsAre("auto", "large", "small", "smart"));
    EXPECT_TRUE(w.catalog->knows("clever"));
    EXPECT_EQ(w.catalog->chooser_of(chat("clever"))->model_id, "smart");
    EXPECT_EQ(w.catalog->chooser_of(chat("small")), nullptr);
    EXPECT_EQ(w.catalog->chooser_of(chat("nobody")), nullptr);
    EXPECT_EQ(w.catalog->chooser_of(chat("")), nullptr);
    for (const auto& [labels, id] : w.metrics->variants) {
        EXPECT_THAT(labels, ::testing::Not(HasSubstr("smart"))) << "it has no series of its own";
    }
}

TEST(ModelChooser, LooksRoutesUpByTheChosenModel) {
    auto w = world();
    w.backend("routed");
    w.routes = {route("r", {rule({prefix("/v1", {model_header("large")})}, {{"routed", 8000, 1}}),
                            rule({prefix("/v1/embeddings")}, {{"b", 8000, 1}})})};
    w.publish();
    EXPECT_EQ(outcome(ask(w, "smart", prompt(2'000))), "routed");
    EXPECT_EQ(ask(w, "smart", prompt(2'000))->model_id, "large");
    EXPECT_EQ(outcome(ask(w, "smart", prompt(1))), "b");
}

TEST(ModelChooser, DoesNotFollowARouteThatNamesTheChoosingModel) {
    auto w = world();
    w.backend("routed");
    w.routes = {
        route("r", {rule({prefix("/v1", {model_header("smart")})}, {{"routed", 8000, 1}})})};
    w.publish();
    EXPECT_EQ(outcome(ask(w, "smart", prompt(1))), "b");
    EXPECT_EQ(outcome(ask(w, "clever", prompt(1))), "b");
    EXPECT_EQ(w.catalog->find(chat("smart")).error().code, Errc::path_not_found);
}

TEST(ModelChooser, RefusesTwoDifferentNamesAsAlways) {
    auto w = world();
    w.publish();
    EXPECT_EQ(outcome(w.ask(chat("smart", "large"))), "model_mismatch");
    EXPECT_EQ(w.catalog->chooser_of(chat("smart", "large")), nullptr);
}

TEST(ModelChooser, SplitsAcrossReloadsExactly) {
    auto w = world();
    w.config.models[0].rules = {rule_for("half", "large")};
    w.config.models[0].rules[0].targets = {{"large", 1}, {"small", 3}};
    std::map<std::string_view, int> counts;
    std::vector<std::shared_ptr<const Catalog>> kept;
    for (int reload = 0; reload < 4; ++reload) {
        w.publish();
        kept.push_back(w.catalog);
        for (int i = 0; i < 25; ++i) {
            ++counts[ask(w, "smart", prompt(0))->model_id];
        }
    }
    EXPECT_EQ(counts, (std::map<std::string_view, int>{{"large", 25}, {"small", 75}}));
}

TEST(ModelChooser, ReadsEveryConditionOfTheConfiguration) {
    using config::RuleConditions;
    config::ModelRule configured = rule_for("all", "m");
    auto& when = configured.when;
    when.prompt_tokens = config::CountRange{5, 10};
    when.max_tokens = config::CountRange{{}, 7};
    when.tools = true;
    when.images = false;
    when.tiers = {"gold"};
    when.headers = {{"x-a", {}, {}}, {"x-b", "exact", {}}, {"x-c", {}, "pre"}};
    when.fields = {{"n", "7", {}, {}},     {"f", "0.5", {}, {}}, {"s", "fast", {}, {}},
                   {"b", "false", {}, {}}, {"k", {}, 3, 9},      {"p", {}, {}, {}},
                   {"i", "inf", {}, {}}};
    configured.targets = {{"m", 2}, {"o", 5}};
    const auto rule = model_rules({configured}).front();
    EXPECT_EQ(rule.prompt_tokens.over, 5U);
    EXPECT_EQ(rule.prompt_tokens.up_to, 10U);
    EXPECT_FALSE(rule.prompt_bytes.over || rule.prompt_bytes.up_to || rule.max_tokens.over);
    EXPECT_EQ(rule.max_tokens.up_to, 7U);
    EXPECT_EQ(rule.tools, true);
    EXPECT_EQ(rule.images, false);
    EXPECT_THAT(rule.tiers, ElementsAre("gold"));
    using Match = HeaderCondition::Match;
    EXPECT_EQ(rule.headers[0].match, Match::present);
    EXPECT_EQ(rule.headers[1].match, Match::exact);
    EXPECT_EQ(rule.headers[1].value, "exact");
    EXPECT_EQ(rule.headers[2].match, Match::prefix);
    EXPECT_EQ(rule.headers[2].value, "pre");
    using Literal = std::variant<std::string, double, bool>;
    EXPECT_EQ(rule.fields[0].equals, Literal(7.0));
    EXPECT_EQ(rule.fields[1].equals, Literal(0.5));
    EXPECT_EQ(rule.fields[2].equals, Literal(std::string("fast")));
    EXPECT_EQ(rule.fields[3].equals, Literal(false));
    EXPECT_EQ(rule.fields[4].number.over, 3.0);
    EXPECT_EQ(rule.fields[4].number.up_to, 9.0);
    EXPECT_FALSE(rule.fields[5].equals);
    EXPECT_EQ(rule.fields[6].equals, Literal(std::string("inf")));
    EXPECT_EQ(rule.targets[1].model, "o");
    EXPECT_EQ(rule.targets[1].weight, 5U);
}

/// As if `model` had just answered so fast for a while.
void measure(World& w, std::string_view model, Duration first_token, bool fails = false) {
    const auto measure = w.state->measures.acquire(model);
    for (int i = 0; i < 1'000; ++i) {
        measure->first_token(first_token);
        measure->ended(fails);
    }
    w.state->measures.tick(Instant{} + 1h);
}

TEST(AutoModel, TakesTheCheaperModelUntilItIsSlow) {
    auto w = world();
    w.publish();
    measure(w, "large", 300ms);
    measure(w, "small", 300ms);
    EXPECT_EQ(ask(w, "auto", prompt(4'000))->model_id, "small");
    EXPECT_EQ(ask(w, "auto", prompt(4'000))->chosen_by, "auto");
    measure(w, "small", 60s);
    w.config.models[1].automatic->price = 0;
    w.publish();
    EXPECT_EQ(ask(w, "auto", prompt(4'000))->model_id, "large") << "measures survive a reload";
}

TEST(AutoModel, CountsPromptAndCompletionByTheirPrices) {
    auto w = world();
    w.config.models[1].automatic->speed = 0;
    w.config.models[2].price = {{1'000'000}, {9'000'000}};  // cheap to read
    w.config.models[3].price = {{2'000'000}, {1'000'000}};  // cheap to write
    w.publish();
    auto facts = prompt(400'000);
    EXPECT_EQ(ask(w, "auto", facts)->model_id, "large");
    facts = prompt(400);
    EXPECT_EQ(ask(w, "auto", facts)->model_id, "small") << "256 completion tokens are assumed";
    facts.max_tokens = 1;
    facts.prompt_tokens = 100;
    EXPECT_EQ(ask(w, "auto", facts)->model_id, "large");
}

TEST(AutoModel, PassesOverACandidateWithoutAReadyEndpoint) {
    auto w = world();
    w.publish();
    w.state->pools.find("b")->set_draining(true);
    EXPECT_EQ(ask(w, "auto", prompt(0))->model_id, "large");
    w.state->pools.find("a")->set_draining(true);
    EXPECT_EQ(ask(w, "auto", prompt(0))->model_id, "small") << "none is ready: the best waits";
}

TEST(AutoModel, IsExplainedByEveryCost) {
    auto w = world();
    w.publish();
    Trace trace;
    ask(w, "auto", prompt(4'000), &trace);
    EXPECT_THAT(trace.lines(), ::testing::Contains(HasSubstr("Candidate large: first token 1000 ms "
                                                             "(assumed) x 1.0, price 17680.00 "
                                                             "micro-USD")));
    EXPECT_THAT(trace.lines(), ::testing::Contains("Model small is taken: the lowest cost."));
}

TEST(AutoModel, IsTheOnlyReasonToMeasureAModel) {
    auto w = world();
    w.config.models.push_back(model("other", {variant("v", 1, "a")}));
    w.publish();
    EXPECT_EQ(w.ask(chat("small"))->rule->measure, w.state->measures.acquire("small"));
    EXPECT_EQ(w.ask(chat("other"))->rule->measure, nullptr);
}

}  // namespace
}  // namespace millrace::routing
