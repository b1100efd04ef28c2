#include "config/manifest_reader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/config/fake_sources.hpp"

namespace millrace::config {
namespace {

using test::dump;
using test::errors_of;
using test::unmark;
using testing::HasSubstr;
using testing::IsEmpty;

const std::map<std::string, Backend> kBackends = {
    {"vllm-gpt4", {}}, {"vllm-gpt4-canary", {}}, {"vllm-claude3", {}}};

/// An HTTPRoute whose `spec` is `spec`, indented by two.
std::string route(const std::string& spec) {
    return "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: "
           "r}\nspec:\n" +
           spec;
}

struct Read {
    std::vector<HttpRoute> routes;
    std::vector<Problem> problems;
};

Read read(const std::string& text) {
    Report report("r.yaml");
    auto routes = read_manifest(text, kBackends, report);
    return {std::move(routes), report.take()};
}

TEST(Manifest, ReadsTheWeightedCanaryByModelHeader) {
    const auto [routes, problems] = read(R"(
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: llm-routing
  namespace: ai-inference
  creationTimestamp: "2024-05-17T08:30:00Z"
  labels: {team: a}
spec:
  parentRefs: [{name: gateway}]
  hostnames: [API.example.com, "*.example.org"]
  rules:
    - matches:
        - path: {type: PathPrefix, value: /v1/chat/completions}
          headers: [{name: X-Model-Id, value: gpt-4}]
      backendRefs:
        - {name: vllm-gpt4, port: 8000, weight: 80}
        - {name: vllm-gpt4-canary, port: 8000, weight: 20}
    - matches:
        - headers: [{type: Exact, name: x-model-id, value: claude-3}]
      backendRefs: [{name: vllm-claude3, port: 8000}]
)");
    EXPECT_THAT(problems, IsEmpty()) << dump(problems);
    ASSERT_EQ(routes.size(), 1U);
    const auto& r = routes[0];
    EXPECT_EQ(r.name, "llm-routing");
    EXPECT_EQ(r.namespace_name, "ai-inference");
    ASSERT_TRUE(r.created);
    EXPECT_EQ(std::chrono::floor<std::chrono::seconds>(*r.created).time_since_epoch(),
              std::chrono::seconds(1'715'934'600));
    EXPECT_THAT(r.hostnames, testing::ElementsAre("api.example.com", "*.example.org"));
    ASSERT_EQ(r.rules.size(), 2U);
    HttpRouteMatch gpt4;
    gpt4.path = "/v1/chat/completions";
    gpt4.headers = {{"x-model-id", "gpt-4", ValueMatchType::exact}};
    EXPECT_THAT(r.rules[0].matches, testing::ElementsAre(gpt4));
    EXPECT_THAT(r.rules[0].backends,
                testing::ElementsAre(BackendRef{"vllm-gpt4", 8000, 80},
                                     BackendRef{"vllm-gpt4-canary", 8000, 20}));
    EXPECT_EQ(r.rules[1].matches[0].path, "/");
    EXPECT_EQ(r.rules[1].backends[0].weight, 1U);
}

TEST(Manifest, ReadsFiltersTimeoutsMethodAndQuery) {
    const auto [routes, problems] = read(route(R"(  rules:
    - name: chat
      matches:
        - method: POST
          path: {value: /a}
          queryParams: [{name: v, value: "1"}]
      filters:
        - type: RequestHeaderModifier
          requestHeaderModifier:
            set: [{name: X-A, value: "1"}]
            add: [{name: X-B, value: b}]
            remove: [x-c]
        - type: URLRewrite
          urlRewrite: {hostname: h.local, path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}
      timeouts: {request: 1h30m, backendRequest: 500ms}
      backendRefs: [{name: vllm-gpt4, port: 8000}]
)"));
    EXPECT_THAT(problems, IsEmpty()) << dump(problems);
    ASSERT_EQ(routes.size(), 1U);
    const auto& rule = routes[0].rules[0];
    EXPECT_EQ(rule.matches[0].method, "POST");
    EXPECT_EQ(rule.matches[0].query, (std::vector<NameValueMatch>{{"v", "1", {}}}));
    EXPECT_EQ(rule.request_headers.set, (std::vector<HeaderValue>{{"X-A", "1"}}));
    EXPECT_EQ(rule.request_headers.add, (std::vector<HeaderValue>{{"X-B", "b"}}));
    EXPECT_THAT(rule.request_headers.remove, testing::ElementsAre("x-c"));
    EXPECT_EQ(rule.rewrite->hostname, "h.local");
    EXPECT_EQ(rule.rewrite->replace_prefix_match, "/b");
    EXPECT_EQ(rule.request_timeout, 90min);
    EXPECT_EQ(rule.backend_request_timeout, 500ms);
}

TEST(Manifest, GivesARuleWithoutMatchesTheDefaultMatch) {
    const auto [routes, problems] =
        read(route("  rules: [{backendRefs: [{name: vllm-gpt4, port: 1}]}]\n"));
    ASSERT_EQ(routes[0].rules[0].matches.size(), 1U);
    EXPECT_EQ(routes[0].rules[0].matches[0], HttpRouteMatch{});
}

TEST(Manifest, ReadsSeveralDocumentsAndListsOfV1beta1) {
    const auto [routes, problems] = read(R"(---
apiVersion: v1
kind: Service
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: HTTPRoute
metadata: {name: a, creationTimestamp: null}
spec: {rules: [{backendRefs: [{name: vllm-gpt4}]}]}
---
apiVersion: v1
kind: List
items:
  - apiVersion: gateway.networking.k8s.io/v1
    kind: HTTPRoute
    metadata: {name: b}
    spec: {rules: [{backendRefs: [{name: vllm-gpt4}]}]}
---
)");
    ASSERT_EQ(routes.size(), 2U) << dump(problems);
    EXPECT_EQ(routes[0].name, "a");
    EXPECT_FALSE(routes[0].created);
    EXPECT_EQ(routes[1].name, "b");
    EXPECT_EQ(routes[1].namespace_name, "default");
    EXPECT_EQ(dump(problems),
              "r.yaml:2:1: warning: A document of kind `Service` (`v1`) is ignored; only HTTPRoute "
              "is read here.\n");
}

struct Case {
    const char* spec;
    const char* path;
    const char* message;
};

class ManifestError : public testing::TestWithParam<Case> {};
class ManifestWarning : public testing::TestWithParam<Case> {};

void expect_problem(const Case& expected, Severity severity) {
    const auto [text, line, column] = unmark(route(expected.spec));
    const auto [routes, problems] = read(text);
    ASSERT_EQ(problems.size(), 1U) << text << dump(problems);
    EXPECT_EQ(problems[0].severity, severity);
    EXPECT_EQ(problems[0].line, line) << dump(problems);
    EXPECT_EQ(problems[0].column, column) << dump(problems);
    EXPECT_EQ(problems[0].path, expected.path);
    EXPECT_THAT(problems[0].message, HasSubstr(expected.message));
}

TEST_P(ManifestError, NamesWhatWouldNotMatchAsWritten) {
    expect_problem(GetParam(), Severity::error);
}
TEST_P(ManifestWarning, NamesWhatIsIgnored) {
    expect_problem(GetParam(), Severity::warning);
}

#define REFS ", backendRefs: [{name: vllm-gpt4}]}]\n"

INSTANTIATE_TEST_SUITE_P(
    All, ManifestError,
    testing::Values(
        Case{"  rules: [{matches: [{path: {type: @@RegularExpression, value: /a.*}}]" REFS,
             "spec.rules[0].matches[0].path.type", "RegularExpression path matches are not"},
        Case{"  rules: [{matches: [{headers: [{type: @@RegularExpression, name: a, value: "
             "b}]}]" REFS,
             "spec.rules[0].matches[0].headers[0].type", "RegularExpression matches are not"},
        Case{"  rules: [{matches: [{headers: [@@{name: a}]}]" REFS,
             "spec.rules[0].matches[0].headers[0]", "needs `name` and `value`"},
        Case{"  rules: [{matches: [{headers: [@@{name: 'a b', value: c}]}]" REFS,
             "spec.rules[0].matches[0].headers[0]", "is not a header name"},
        Case{"  rules: [{matches: [{headers: [@@{name: x-model-id, value: a..b}]}]" REFS,
             "spec.rules[0].matches[0].headers[0]", "is not a model id"},
        Case{"  rules: [{matches: [{path: {value: @@v1}}]" REFS,
             "spec.rules[0].matches[0].path.value", "A path starts with `/`"},
        Case{"  rules: [{matches: [{path: {value: @@/a/../b}}]" REFS,
             "spec.rules[0].matches[0].path.value", "A path starts with `/`"},
        Case{"  rules: [{matches: [{method: @@post}]" REFS, "spec.rules[0].matches[0].method",
             "Unknown method `post`"},
        Case{"  rules: [{timeouts: {request: @@1.5s}" REFS, "spec.rules[0].timeouts.request",
             "Expected a Gateway API duration"},
        Case{"  rules: [{timeouts: {request: 1s, backendRequest: @@2s}" REFS,
             "spec.rules[0].timeouts.backendRequest", "must not be longer than `request`"},
        Case{"  rules: [{backendRefs: [{name: vllm-gpt4, weight: @@1000001}]}]\n",
             "spec.rules[0].backendRefs[0].weight", "between 0 and 1000000"},
        Case{"  rules: [{backendRefs: [{name: vllm-gpt4, port: @@0}]}]\n",
             "spec.rules[0].backendRefs[0].port", "between 1 and 65535"},
        Case{"  rules: [{backendRefs: [@@{port: 1}]}]\n", "spec.rules[0].backendRefs[0]",
             "needs a `name`"},
        Case{"  hostnames: [@@10.0.0.1]\n  rules: [{name: a" REFS, "spec.hostnames[0]",
             "is not a host name"},
        Case{"  rules: [{filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: "
             "[@@{name: Host, value: a}]}}]" REFS,
             "spec.rules[0].filters[0].requestHeaderModifier.set[0]",
             "`Host` is not a header that"},
        Case{"  rules: [{filters: [@@{type: URLRewrite}]" REFS, "spec.rules[0].filters[0]",
             "needs the key `urlRewrite`"},
        Case{"  rules: [{filters: [{type: URLRewrite, urlRewrite: {path: @@{type: ReplaceFullPath, "
             "replacePrefixMatch: /}}}]" REFS,
             "spec.rules[0].filters[0].urlRewrite.path", "goes with exactly"},
        Case{"  rules: [{matches: [{path: {type: Exact, value: /a}}], filters: @@[{type: "
             "URLRewrite, "
             "urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}}]" REFS,
             "spec.rules[0].filters", "needs every match of the rule to be a PathPrefix"},
        Case{"  rules: [@@7]\n", "spec.rules[0]", "Expected a mapping"}));

INSTANTIATE_TEST_SUITE_P(
    All, ManifestWarning,
    testing::Values(
        Case{"  rules: [{filters: [@@{type: RequestMirror, requestMirror: {}}]" REFS,
             "spec.rules[0].filters[0]", "The filter `RequestMirror` is not supported"},
        Case{"  rules: [{filters: [@@{type: RequestRedirect}]" REFS, "spec.rules[0].filters[0]",
             "The filter `RequestRedirect` is not supported"},
        Case{"  rules: [{filters: [@@{type: ResponseHeaderModifier}]" REFS,
             "spec.rules[0].filters[0]", "`ResponseHeaderModifier` is not supported"},
        Case{"  rules: [{retry: @@{attempts: 2}" REFS, "spec.rules[0].retry",
             "does not act on `retry`"},
        Case{"  rules: [{@@matchs: []" REFS, "spec.rules[0].matchs", "Unknown key `matchs`"},
        Case{"  rules: [{matches: [{headers: [{name: a, value: b}, @@{name: A, value: c}]}]" REFS,
             "spec.rules[0].matches[0].headers[1]", "only the first entry counts"},
        Case{"  rules: [{backendRefs: [{name: vllm-gpt4}, {name: @@vllm-gtp4}]}]\n",
             "spec.rules[0].backendRefs[1].name", "its share is answered 500"},
        Case{"  rules: [{backendRefs: @@[{name: vllm-gpt4, weight: 0}]}]\n",
             "spec.rules[0].backendRefs", "All weights are 0"},
        Case{"  rules: [@@{name: a}]\n", "spec.rules[0]", "has no backendRefs"},
        Case{"  @@{}\n", "spec", "has no rules"}));

TEST(Manifest, KeepsTheGatewayApisCounts) {
    const auto many = [](std::size_t count, const std::string& item) {
        std::string list = "[";
        for (std::size_t i = 0; i < count; ++i) {
            list += item + ", ";
        }
        return list + "]";
    };
    const std::string ref = "{name: vllm-gpt4}";
    const auto refs = ", backendRefs: [" + ref + "]}";
    const auto rule = [&](const std::string& part) { return "  rules: [{" + part + refs + "]\n"; };
    const std::string match = "{path: {value: /a}}";
    const struct {
        std::string spec;
        bool accepted;
    } cases[] = {
        {rule("matches: " + many(64, match)), true},
        {rule("matches: " + many(65, match)), false},
        {"  rules: " + many(2, "{matches: " + many(64, match) + refs) + "\n", true},
        {"  rules: " + many(3, "{matches: " + many(43, match) + refs) + "\n", false},
        {"  rules: " + many(16, "{name: a" + refs) + "\n", true},
        {"  rules: " + many(17, "{name: a" + refs) + "\n", false},
        {"  rules: [{backendRefs: " + many(16, ref) + "}]\n", true},
        {"  rules: [{backendRefs: " + many(17, ref) + "}]\n", false},
        {rule("filters: " + many(16, "{type: CORS}")), true},
        {rule("filters: " + many(17, "{type: CORS}")), false},
    };
    for (const auto& [spec, accepted] : cases) {
        const auto problems = read(route(spec)).problems;
        EXPECT_EQ(errors_of(problems).empty(), accepted) << spec << dump(problems);
    }
}

TEST(Manifest, WantsANameAndASpecOfAKnownVersion) {
    EXPECT_EQ(
        errors_of(read("apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n").problems)
            .size(),
        2U);
    EXPECT_THAT(
        dump(read("apiVersion: gateway.networking.k8s.io/v1alpha2\nkind: HTTPRoute\n").problems),
        HasSubstr("r.yaml:1:13: error: apiVersion: The API version"));
    EXPECT_THAT(dump(read("apiVersion: gateway.networking.k8s.io/v1\nkind: HttpRoute\n").problems),
                HasSubstr("(did you mean `HTTPRoute`?)"));
}

TEST(Manifest, ReadsABadTimestampAsNone) {
    for (const auto* text :
         {"yesterday", "2024-13-01T00:00:00Z", "2024-02-30T00:00:00Z", "2024-01-01T24:00:00Z",
          "2024-01-01T00:00:00+", "9999-01-01T00:00:00Z"}) {
        const auto [routes, problems] = read(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r, "
            "creationTimestamp: '" +
            std::string(text) + "'}\nspec: {rules: [{backendRefs: [{name: vllm-gpt4}]}]}\n");
        EXPECT_FALSE(routes[0].created) << text;
        EXPECT_THAT(dump(problems), HasSubstr("3:40: warning: metadata.creationTimestamp"));
    }
}

}  // namespace
}  // namespace millrace::config
