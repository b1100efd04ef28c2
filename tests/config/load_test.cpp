#include "config/load.hpp"

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
using testing::HasSubstr;

class Document : public testing::TestWithParam<Case> {};

TEST_P(Document, HasItsExactPlacePathAndSuggestion) {
    FakeSources fake;
    fake.files["/etc/millrace/keys.txt"] = "k1 team-a 00\n";
    expect_one_error(GetParam(), GetParam().text, fake);
}

INSTANTIATE_TEST_SUITE_P(All, Document,
                         testing::Values(Case{"", "", "The document is empty."},
                                         Case{"a: {}\n---\nb: {}\n", "", "several YAML"},
                                         Case{"routes: {manifests: [@@gone.yaml]}\n",
                                              "routes.manifests[0]",
                                              "The file `/etc/millrace/gone.yaml` cannot be read."},
                                         Case{"limits: {}\n@@limits: {}\n", "", "appears twice"},
                                         Case{"a: [\n@@", "", "not valid YAML"}));

TEST(Load, ReportsAFileThatCannotBeRead) {
    const auto result = load("/nowhere.yaml", FakeSources{}.sources());
    EXPECT_FALSE(result.loaded);
    EXPECT_EQ(dump(result.problems), "/nowhere.yaml: error: The file cannot be read.\n");
}

TEST(Load, FindsAllProblemsAtOnceInTheOrderOfTheDocument) {
    FakeSources fake;
    fake.files["/etc/millrace/r.yaml"] =
        "kind: HTTPRoute\napiVersion: gateway.networking.k8s.io/v1\n";
    const auto result = load_text(
        "listeners: {data: {address: localhost:80}}\n"
        "limits: {body: 1MB}\n"
        "models:\n"
        "  - id: m..1\n"
        "    variants: [{name: a, backend: vlm, wieght: 3}]\n"
        "backends:\n"
        "  vllm: {endpoints: {static: [127.0.0.1]}}\n"
        "routes: {manifests: [r.yaml]}\n",
        fake);
    EXPECT_FALSE(result.loaded);
    std::vector<std::pair<int, std::string>> found;
    for (const auto& problem : errors_of(result.problems)) {
        found.emplace_back(problem.line, problem.path);
    }
    const std::vector<std::pair<int, std::string>> expected = {
        {1, "listeners.data.address"},
        {2, "limits.body"},
        {4, "models[0].id"},
        {5, "models[0].variants[0].backend"},
        {5, "models[0].variants[0].wieght"},
        {7, "backends.vllm.endpoints.static[0]"},
        {1, ""},
        {1, ""},
    };
    EXPECT_EQ(found, expected) << dump(result.problems);
}

TEST(Load, ReadsEachManifestOnceAndKeepsTheirOrder) {
    const auto route = [](const std::string& name) {
        return "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: " +
               name + "}\nspec: {rules: [{backendRefs: [{name: b}]}]}\n";
    };
    FakeSources fake;
    fake.files["/etc/millrace/routes/a.yaml"] = route("one");
    fake.files["/etc/millrace/routes/b.yaml"] = route("two");
    const std::string backends = "backends: {b: {endpoints: {static: ['http://a']}}}\n";
    auto result =
        load_text(backends + "routes: {manifests: [routes/b.yaml, 'routes/*.yaml']}\n", fake);
    ASSERT_TRUE(result.loaded) << dump(result.problems);
    ASSERT_EQ(result.loaded->routes.size(), 2U);
    EXPECT_EQ(result.loaded->routes[0].name, "two");
    EXPECT_EQ(result.loaded->routes[1].name, "one");

    fake.files["/etc/millrace/routes/c.yaml"] = route("one");
    result = load_text(backends + "routes: {manifests: ['routes/*.yaml']}\n", fake);
    EXPECT_FALSE(result.loaded);
    EXPECT_THAT(dump(result.problems),
                HasSubstr("c.yaml: error: The HTTPRoute `default/one` is "
                          "already defined in `/etc/millrace/routes/a.yaml`"));

    result = load_text("routes: {manifests: ['none/*.yaml']}\n", fake);
    EXPECT_TRUE(result.loaded);
    EXPECT_THAT(dump(result.problems),
                HasSubstr(":1:22: warning: routes.manifests[0]: The pattern"));
}

}  // namespace
}  // namespace millrace::config
