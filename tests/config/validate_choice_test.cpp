// Models that choose another one: what the documents may say.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/config/fake_sources.hpp"

namespace millrace::config {
namespace {

using test::Case;
using test::dump;
using test::errors_of;
using test::FakeSources;
using test::load_text;
using test::unmark;

/// Two models with variants; a case is a third one.
std::string document(const std::string& item) {
    return "backends: {a: {endpoints: {static: ['http://a']}}}\n"
           "tenants: {acme: {tier: gold}}\n"
           "models:\n"
           "  - {id: big, variants: [{name: x, backend: a}]}\n"
           "  - {id: small, variants: [{name: x, backend: a}]}\n"
           "  - {id: other, auto: {candidates: [big, small]}}\n"
           "  - " +
           item + "\n";
}

class Choice : public testing::TestWithParam<Case> {};

TEST_P(Choice, IsAnErrorAtTheKeyThatBreaksIt) {
    expect_one_error(GetParam(), document(GetParam().text), FakeSources{});
}

INSTANTIATE_TEST_SUITE_P(
    All, Choice,
    testing::Values(
        Case{"@@{id: m}", "models[3]", "needs one of `variants`, `rules` and `auto`."},
        Case{"@@{id: m, variants: [{name: x, backend: a}], auto: {candidates: [big]}}", "models[3]",
             "has more than one of"},
        Case{"{id: m, variants: @@[]}", "models[3].variants", "at least 1 item"},
        Case{"{id: m, rules: [{name: r, targets: [{model: @@bigg}]}]}",
             "models[3].rules[0].targets[0].model", "`bigg` is not the id of a model.",
             "did you mean `big`?"},
        Case{"{id: m, rules: [{name: r, targets: [{model: @@other}]}]}",
             "models[3].rules[0].targets[0].model", "chooses another one itself"},
        Case{"{id: m, rules: [{name: r, targets: [{model: @@m}]}]}",
             "models[3].rules[0].targets[0].model", "chooses another one itself"},
        Case{"{id: m, auto: {candidates: [big, @@other]}}", "models[3].auto.candidates[1]",
             "chooses another one itself"},
        Case{"{id: m, auto: {candidates: [big, @@big]}}", "models[3].auto.candidates[1]",
             "listed twice"},
        Case{"{id: m, auto: {candidates: @@[]}}", "models[3].auto.candidates", "at least 1 item"},
        Case{"{id: m, rules: [@@{name: r, when: {tools: true}, targets: [{model: big}]}]}",
             "models[3].rules[0]", "The last rule must have no conditions"},
        Case{"{id: m, rules: [@@{name: r, targets: [{model: big}]}, {name: s, targets: [{model: "
             "big}]}]}",
             "models[3].rules[0]", "it must be the last one"},
        Case{"{id: m, rules: [{name: r, when: {tools: true}, targets: [{model: big}]}, {name: "
             "@@r, targets: [{model: big}]}]}",
             "models[3].rules[1].name", "two rules named `r`"},
        Case{"{id: m, rules: [{name: r, targets: @@[{model: big, weight: 0}]}]}",
             "models[3].rules[0].targets", "All weights of the rule are 0"},
        Case{"{id: m, rules: [{name: r, when: {max_tokens: @@{over: 9, up_to: 9}}, targets: "
             "[{model: big}]}, {name: s, targets: [{model: big}]}]}",
             "models[3].rules[0].when.max_tokens", "`over` must be below `up_to`"},
        Case{"{id: m, rules: [{name: r, when: {fields: [@@{name: n, equals: 1, over: 2}]}, "
             "targets: [{model: big}]}, {name: s, targets: [{model: big}]}]}",
             "models[3].rules[0].when.fields[0]", "`equals` excludes"},
        Case{
            "{id: m, rules: [{name: r, when: {prompt_bytes: @@{over: 2KiB, up_to: 2048}}, targets: "
            "[{model: big}]}, {name: s, targets: [{model: big}]}]}",
            "models[3].rules[0].when.prompt_bytes", "`over` must be below `up_to`"},
        Case{"{id: m, rules: [{name: r, when: {prompt_tokens: @@{over: 9, up_to: 8}}, targets: "
             "[{model: big}]}, {name: s, targets: [{model: big}]}]}",
             "models[3].rules[0].when.prompt_tokens", "`over` must be below `up_to`"},
        Case{"{id: m, rules: [{name: r, when: {fields: [@@{name: n, over: 2, up_to: 2}]}, targets: "
             "[{model: big}]}, {name: s, targets: [{model: big}]}]}",
             "models[3].rules[0].when.fields[0]", "`over` must be below `up_to`"},
        Case{"{id: m, rules: [{name: r, when: {fields: [@@{name: n, equals: 1, up_to: 2}]}, "
             "targets: "
             "[{model: big}]}, {name: s, targets: [{model: big}]}]}",
             "models[3].rules[0].when.fields[0]", "`equals` excludes"},
        Case{"{id: m, rules: [{name: r, when: {headers: [{name: @@'a b'}]}, targets: "
             "[{model: big}]}, {name: s, targets: [{model: big}]}]}",
             "models[3].rules[0].when.headers[0].name", "`a b` is not a header name."},
        Case{"{id: m, rules: [{name: r, when: {headers: [@@{name: x-a, exact: b, prefix: c}]}, "
             "targets: [{model: big}]}, {name: s, targets: [{model: big}]}]}",
             "models[3].rules[0].when.headers[0]", "exclude each other"},
        Case{"{id: m, rules: [{name: r, when: {headers: [{name: @@Authorization}]}, targets: "
             "[{model: big}]}, {name: s, targets: [{model: big}]}]}",
             "models[3].rules[0].when.headers[0].name", "says who a caller is", "use `tiers`"},
        Case{"{id: m, rules: [{name: r, when: @@{fields: [{name: a}, {name: b}, {name: c}, {name: "
             "d}, {name: e}, {name: f}, {name: g}, {name: h}, {name: i}, {name: j}]}, targets: "
             "[{model: big}]}, {name: s, targets: [{model: big}]}]}",
             "models[3].rules[0].when", "8 different body fields"},
        Case{"{id: m, price: {prompt: @@$3}, variants: [{name: x, backend: a}]}",
             "models[3].price.prompt", "dollars such as", "leave the `$` out"}));

TEST(Choice, IsReadWhole) {
    const auto result = load_text(document(R"(
    id: m
    aliases: [n]
    rules:
      - name: large
        when:
          prompt_bytes: {over: 32KiB, up_to: 1MiB}
          prompt_tokens: {over: 10}
          max_tokens: {up_to: 100}
          tools: false
          images: true
          tiers: [gold]
          headers: [{name: x-team, prefix: search}]
          fields: [{name: seed, equals: 7}, {name: top_k, over: 3}]
        targets: [{model: big, weight: 3}, {model: small}]
      - {name: rest, targets: [{model: small}]}
  - {id: fast, price: {prompt: 0.15, completion: 3}, variants: [{name: x, backend: a}]}
  - {id: choice, auto: {candidates: [big, fast], speed: 2, price: 0, health: 9, explore_percent: 5}})"));
    ASSERT_TRUE(result.loaded) << dump(result.problems);
    const auto& models = result.loaded->config.models;
    RuleConditions when;
    when.prompt_bytes = {32 * kKiB, kMiB};
    when.prompt_tokens = {10, {}};
    when.max_tokens = {{}, 100};
    when.tools = false;
    when.images = true;
    when.tiers = {"gold"};
    when.headers = {{"x-team", {}, "search"}};
    when.fields = {{"seed", "7", {}, {}}, {"top_k", {}, 3, {}}};
    EXPECT_EQ(models[3].rules, (std::vector<ModelRule>{{"large", when, {{"big", 3}, {"small", 1}}},
                                                       {"rest", {}, {{"small", 1}}}}));
    EXPECT_EQ(models[4].price, (Price{{150'000}, {3'000'000}}));
    EXPECT_EQ(models[5].automatic, (AutoModel{{"big", "fast"}, 2, 0, 9, 5}));
}

TEST(Choice, MayLookAtEightFieldsHoweverOften) {
    const std::string eight =
        "[{name: a}, {name: b}, {name: c}, {name: d}, {name: e}, {name: f}, {name: g}, {name: h}]";
    const auto result =
        load_text(document("{id: m, rules: [{name: r, when: {fields: " + eight +
                           "}, targets: [{model: big}]}, {name: s, when: {fields: " + eight +
                           "}, targets: [{model: big}]}, {name: t, targets: "
                           "[{model: big}]}]}"));
    EXPECT_TRUE(result.loaded) << dump(result.problems);
}

class ChoiceCaution : public testing::TestWithParam<Case> {};

TEST_P(ChoiceCaution, IsAWarningAndLoads) {
    const auto [text, line, column] = unmark(document(GetParam().text));
    const auto result = load_text(text);
    EXPECT_TRUE(result.loaded) << dump(result.problems);
    const auto found = std::ranges::find_if(result.problems, [](const Problem& problem) {
        return problem.message.find(GetParam().message) != std::string::npos;
    });
    ASSERT_NE(found, result.problems.end()) << dump(result.problems);
    EXPECT_EQ(found->path, GetParam().path);
    EXPECT_EQ(found->line, line);
    EXPECT_EQ(found->column, column);
}

INSTANTIATE_TEST_SUITE_P(
    All, ChoiceCaution,
    testing::Values(
        Case{"{id: m, rules: [{name: r, when: {tiers: [gold, @@glod]}, targets: [{model: big}]}, "
             "{name: s, targets: [{model: big}]}]}",
             "models[3].rules[0].when.tiers[1]", "No tenant has the tier `glod`."},
        Case{"@@{id: m, priority: 7, auto: {candidates: [big]}}", "models[3]",
             "its own do nothing"}));

TEST(ChoiceCaution, IsNotGivenForWhatSuchAModelMaySay) {
    const auto result =
        load_text(document("{id: m, aliases: [n], owned_by: us, auto: {candidates: [big]}}"));
    EXPECT_TRUE(result.loaded);
    EXPECT_THAT(dump(result.problems), testing::Not(testing::HasSubstr("models[")));
}

TEST(ChoiceCaution, IsGivenForARouteThatNamesTheChoosingModel) {
    FakeSources fake;
    fake.files["/etc/millrace/r.yaml"] = R"(
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r}
spec:
  rules:
    - matches: [{headers: [{name: X-Model-Id, value: other}]}]
      backendRefs: [{name: a, port: 80}]
)";
    const auto result = load_text(
        document("{id: m, auto: {candidates: [big]}}\nroutes: {manifests: [r.yaml]}"), fake);
    EXPECT_TRUE(result.loaded) << dump(result.problems);
    EXPECT_THAT(dump(result.problems),
                testing::HasSubstr("A route names the model `other`, which chooses another one"));
}

}  // namespace
}  // namespace millrace::config
