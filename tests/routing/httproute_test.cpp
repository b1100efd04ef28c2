#include "routing/httproute.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "tests/routing/support.hpp"

namespace millrace::routing {
namespace {

using namespace testing;
using config::HttpRoute;

config::HttpRouteMatch with_method(config::HttpRouteMatch match, std::string method) {
    match.method = std::move(method);
    return match;
}

config::HttpRouteMatch with_query(config::HttpRouteMatch match,
                                  std::vector<config::NameValueMatch> query) {
    match.query = std::move(query);
    return match;
}

HttpRoute one(std::string name, std::vector<config::HttpRouteMatch> matches) {
    return route(std::move(name), {rule(std::move(matches), {})});
}

HttpRoute hosted(HttpRoute r, std::vector<std::string> hostnames) {
    r.hostnames = std::move(hostnames);
    return r;
}

HttpRoute aged(HttpRoute r, int seconds) {
    r.created = WallTime(std::chrono::seconds(seconds));
    return r;
}

HttpRoute in_namespace(HttpRoute r, std::string name) {
    r.namespace_name = std::move(name);
    return r;
}

/// `describe()` of the winner, or "none".
std::string winner(const std::vector<HttpRoute>& routes, const RequestFacts& facts) {
    const HttpRouteTable table(routes);
    const auto* match = table.match(facts, table.candidates(facts.header_model), nullptr);
    return match != nullptr ? match->describe() : "none";
}

RequestFacts request(std::string_view path, std::string_view method = "GET",
                     std::string_view host = "a.example.com", std::string_view query = {}) {
    auto facts = get(path);
    facts.method = method;
    facts.host = host;
    facts.query = query;
    return facts;
}

TEST(HttpRoute, MatchesPathsByElements) {
    struct Case {
        const char* prefix;
        const char* path;
        bool match;
    };
    for (const auto& c : {
             Case{"/foo", "/foo", true},
             Case{"/foo", "/foo/", true},
             Case{"/foo", "/foo/x", true},
             Case{"/foo", "/foobar", false},
             Case{"/foo", "/Foo", false},
             Case{"/foo", "/", false},
             Case{"/foo/", "/foo", true},
             Case{"/foo/", "/foo/x", true},
             Case{"/foo/", "/foobar", false},
             Case{"/", "/", true},
             Case{"/", "/anything/else", true},
             Case{"/v1/chat", "/v1/chat/completions", true},
             Case{"/v1/chat", "/v1/chatter", false},
         }) {
        EXPECT_EQ(winner({one("r", {prefix(c.prefix)})}, request(c.path)) != "none", c.match)
            << c.prefix << " against " << c.path;
    }
    EXPECT_EQ(winner({one("r", {exact("/foo")})}, request("/foo/")), "none");
    EXPECT_EQ(winner({one("r", {exact("/foo/")})}, request("/foo/")), "default/r rule 1 match 1");
}

TEST(HttpRoute, MatchesHostnames) {
    struct Case {
        const char* hostname;
        const char* host;
        bool match;
    };
    for (const auto& c : {
             Case{"a.example.com", "a.example.com", true},
             Case{"a.example.com", "A.Example.COM:8443", true},
             Case{"a.example.com", "a.example.com.", true},
             Case{"a.example.com", "b.example.com", false},
             Case{"*.example.com", "a.example.com", true},
             Case{"*.example.com", "a.b.example.com", true},
             Case{"*.example.com", "example.com", false},
             Case{"*.example.com", "badexample.com", false},
             Case{"a.example.com", "", false},
         }) {
        EXPECT_EQ(winner({hosted(one("r", {prefix("/")}), {c.hostname})},
                         request("/", "GET", c.host)) != "none",
                  c.match)
            << c.hostname << " against " << c.host;
    }
}

TEST(HttpRoute, MatchesHeadersAsOneList) {
    const std::vector<HeaderField> fields = {{"X-Tier", "gold"}, {"x-many", "a"}, {"X-Many", "b"}};
    auto facts = request("/");
    facts.headers = fields;
    const auto wants = [&](std::vector<config::NameValueMatch> headers) {
        return winner({one("r", {prefix("/", std::move(headers))})}, facts) != "none";
    };
    EXPECT_TRUE(wants({{"x-tier", "gold"}}));
    EXPECT_FALSE(wants({{"x-tier", "Gold"}}));
    EXPECT_FALSE(wants({{"x-tier", "gold"}, {"x-absent", ""}}));
    EXPECT_TRUE(wants({{"x-many", "a,b"}}));
    EXPECT_FALSE(wants({{"x-many", "a"}}));
    EXPECT_TRUE(
        wants({{"x-tier", "gold"}, {"X-Tier", "silver"}}));  // only the first of equal names counts
}

TEST(HttpRoute, MatchesQueryParameters) {
    const auto wants = [](std::string_view query, std::vector<config::NameValueMatch> wanted) {
        return winner({one("r", {with_query(prefix("/"), std::move(wanted))})},
                      request("/", "GET", "a", query)) != "none";
    };
    EXPECT_TRUE(wants("a=1&b=2", {{"b", "2"}}));
    EXPECT_TRUE(wants("a=1&b=2", {{"b", "2"}, {"a", "1"}}));
    EXPECT_FALSE(wants("a=1&b=2", {{"b", "2"}, {"c", ""}}));
    EXPECT_TRUE(wants("b=2&b=3", {{"b", "2"}}));
    EXPECT_FALSE(wants("b=2&b=3", {{"b", "3"}}));
    EXPECT_TRUE(wants("a%62=x%20y", {{"ab", "x y"}}));
    EXPECT_TRUE(wants("flag", {{"flag", ""}}));
    EXPECT_FALSE(wants("", {{"flag", ""}}));
}

struct Precedence {
    const char* what;
    std::vector<HttpRoute> routes;  // the second must win
    RequestFacts facts;
};

std::vector<Precedence> precedence_cases() {
    const auto h = [](const char* name) { return config::NameValueMatch{name, "1"}; };
    static const std::vector<HeaderField> kFields = {{"h1", "1"}, {"h2", "1"}, {"h3", "1"}};
    auto headers = request("/v1/x");
    headers.headers = kFields;
    auto all = request("/v1/x", "POST", "a.example.com", "q=1&r=1");
    all.headers = kFields;
    auto model = all;
    model.header_model = "m";
    return {
        {"exact host before wildcard",
         {hosted(one("a", {exact("/v1/x")}), {"*.example.com"}),
          hosted(one("b", {prefix("/")}), {"a.example.com"})},
         all},
        {"longer wildcard first",
         {hosted(one("a", {exact("/v1/x")}), {"*.com"}),
          hosted(one("b", {prefix("/")}), {"*.example.com"})},
         all},
        {"any host last",
         {one("a", {exact("/v1/x")}), hosted(one("b", {prefix("/")}), {"*.com"})},
         all},
        {"best of several hostnames counts",
         {hosted(one("a", {exact("/v1/x")}), {"*.example.com"}),
          hosted(one("b", {prefix("/")}), {"*.org", "a.example.com"})},
         all},
        {"exact path before longer-looking prefix",
         {one("a", {prefix("/v1/x", {h("h1"), h("h2")})}), one("b", {exact("/v1/x")})},
         headers},
        {"exact path before everything but the host",
         {one("a", {with_query(with_method(prefix("/v1/x", {h("h1")}), "POST"), {{"q", "1"}})}),
          one("b", {exact("/v1/x")})},
         all},
        {"longer prefix first", {one("a", {prefix("/v1")}), one("b", {prefix("/v1/x")})}, all},
        {"longer prefix before method",
         {one("a", {with_method(prefix("/v1"), "POST")}), one("b", {prefix("/v1/x")})},
         all},
        {"longer prefix before headers",
         {one("a", {prefix("/v1", {h("h1"), h("h2"), h("h3")})}), one("b", {prefix("/v1/x")})},
         headers},
        {"longer prefix before query",
         {one("a", {with_query(prefix("/v1"), {{"q", "1"}})}), one("b", {prefix("/v1/x")})},
         all},
        {"a trailing slash adds no length",
         {one("a", {prefix("/v1/")}), one("b", {prefix("/v1", {h("h1")})})},
         headers},
        {"method before headers",
         {one("a", {prefix("/v1", {h("h1"), h("h2")})}),
          one("b", {with_method(prefix("/v1"), "POST")})},
         all},
        {"method before query",
         {one("a", {with_query(prefix("/v1"), {{"q", "1"}})}),
          one("b", {with_method(prefix("/v1"), "POST")})},
         all},
        {"more headers first",
         {one("a", {prefix("/v1", {h("h1")})}), one("b", {prefix("/v1", {h("h1"), h("h2")})})},
         headers},
        {"headers before query",
         {one("a", {with_query(prefix("/v1"), {{"q", "1"}, {"r", "1"}})}),
          one("b", {prefix("/v1", {h("h1")})})},
         all},
        {"repeated header names count once",
         {one("a", {prefix("/v1", {h("h1"), h("H1"), h("h1")})}),
          one("b", {prefix("/v1", {h("h1"), h("h2")})})},
         headers},
        {"more query parameters first",
         {one("a", {with_query(prefix("/v1"), {{"q", "1"}})}),
          one("b", {with_query(prefix("/v1"), {{"q", "1"}, {"r", "1"}})})},
         all},
        {"x-model-id counts as a header",
         {one("a", {prefix("/v1")}), one("b", {prefix("/v1", {model_header("m")})})},
         model},
        {"two headers before x-model-id alone",
         {one("a", {prefix("/v1", {model_header("m")})}),
          one("b", {prefix("/v1", {h("h1"), h("h2")})})},
         model},
        {"longer prefix before x-model-id",
         {one("a", {prefix("/v1", {model_header("m")})}), one("b", {prefix("/v1/x")})},
         model},
        {"older route first",
         {aged(one("a", {prefix("/v1")}), 20), aged(one("b", {prefix("/v1")}), 10)},
         all},
        {"a route without timestamp last",
         {one("a", {prefix("/v1")}), aged(one("b", {prefix("/v1")}), 10)},
         all},
        {"age before name",
         {aged(one("a", {prefix("/v1")}), 2), aged(one("b", {prefix("/v1")}), 1)},
         all},
        {"more headers before age",
         {aged(one("a", {prefix("/v1")}), 1), aged(one("b", {prefix("/v1", {h("h1")})}), 2)},
         headers},
        {"namespace before name",
         {in_namespace(one("a", {prefix("/v1")}), "z"),
          in_namespace(one("b", {prefix("/v1")}), "y")},
         all},
        {"namespace/name is compared as one text",
         {in_namespace(one("a", {prefix("/v1")}), "n"),
          in_namespace(one("b", {prefix("/v1")}), "n-1")},
         all},
        {"name in the alphabet", {one("c", {prefix("/v1")}), one("b", {prefix("/v1")})}, all},
    };
}

TEST(HttpRoute, HasTheGatewayApisPrecedence) {
    const auto cases = precedence_cases();
    EXPECT_GE(cases.size(), 25U);
    for (const auto& c : cases) {
        const auto expected = c.routes[1].namespace_name + "/b rule 1 match 1";
        EXPECT_EQ(winner(c.routes, c.facts), expected) << c.what;
        EXPECT_EQ(winner({c.routes[1], c.routes[0]}, c.facts), expected) << c.what << ", reversed";
        EXPECT_NE(winner({c.routes[0]}, c.facts), "none") << c.what << ": the loser must match too";
    }
}

TEST(HttpRoute, TakesTheFirstRuleAndMatchOfARoute) {
    const auto r =
        route("r", {rule({prefix("/v2"), prefix("/v1")}, {}), rule({prefix("/v1")}, {})});
    EXPECT_EQ(winner({r}, request("/v1")), "default/r rule 1 match 2");
    EXPECT_EQ(winner({r}, request("/v2")), "default/r rule 1 match 1");
    EXPECT_EQ(winner({r}, request("/v3")), "none");
}

TEST(HttpRoute, MatchesTheMethodCaseSensitively) {
    const std::vector routes = {one("r", {with_method(prefix("/"), "GET")})};
    EXPECT_NE(winner(routes, request("/", "GET")), "none");
    EXPECT_EQ(winner(routes, request("/", "get")), "none");
}

TEST(HttpRoute, NeverAppliesAMatchWithARegularExpression) {
    auto path = prefix("/");
    path.path_type = config::PathMatchType::regex;
    const auto header = prefix("/", {{"h1", "1", config::ValueMatchType::regex}});
    EXPECT_TRUE(HttpRouteTable({one("r", {path, header})}).entries().empty());
}

TEST(HttpRoute, PassesOverPrefixesWhenAnExactPathIsWanted) {
    const std::vector routes = {hosted(one("a", {prefix("/")}), {"a.example.com"}),
                                one("b", {exact("/x")})};
    const HttpRouteTable table(routes);
    EXPECT_EQ(table.match(request("/x"), nullptr, nullptr)->route->name, "a");
    EXPECT_EQ(table.match(request("/x"), nullptr, nullptr, true)->route->name, "b");
}

// Ten thousand routes by x-model-id: a request looks at its own one only.
TEST(HttpRoute, IndexesRoutesByModel) {
    std::vector<HttpRoute> routes;
    for (int i = 0; i < 10'000; ++i) {
        const auto name = "m" + std::to_string(i);
        routes.push_back(one(name, {prefix("/v1", {model_header(name)})}));
    }
    routes.push_back(one("rest", {prefix("/")}));
    const HttpRouteTable table(routes);
    EXPECT_EQ(table.entries().size(), 10'001U);
    EXPECT_EQ(table.general().size(), 1U);
    ASSERT_NE(table.candidates("m7777"), nullptr);
    EXPECT_EQ(table.candidates("m7777")->size(), 1U);
    EXPECT_EQ(table.candidates("m10000"), nullptr);
    EXPECT_EQ(table.models().size(), 10'000U);
}

TEST(HttpRoute, ExplainsWhatDidNotMatchAndWhy) {
    auto routes = std::vector{one("a", {exact("/x")}), one("b", {prefix("/v1", {{"h9", "1"}})}),
                              one("c", {prefix("/v1")}), one("d", {prefix("/")}),
                              one("e", {prefix("/v1", {model_header("other")})})};
    const HttpRouteTable table(routes);
    const auto facts = request("/v1/x");
    const auto* match = table.match(facts, nullptr, nullptr);
    ASSERT_NE(match, nullptr);
    Trace trace;
    trace_routes(table, facts, nullptr, nullptr, match, trace);
    EXPECT_EQ(
        trace.lines(),
        (std::vector<std::string>{
            "HTTPRoute default/a rule 1 match 1 does not match: path \"/v1/x\" is not \"/x\".",
            "HTTPRoute default/b rule 1 match 1 does not match: header h9 is not \"1\".",
            "HTTPRoute default/c rule 1 match 1 matches and is taken.",
            "HTTPRoute default/d rule 1 match 1 matches too, but the taken one goes before it: "
            "longer path.",
            "1 HTTPRoute matches want another model."}));
}

TEST(HttpRoute, WordsEveryMismatch) {
    const auto why = [](HttpRoute r, const RequestFacts& facts) {
        const std::vector routes = {std::move(r)};
        const HttpRouteTable table(routes);
        return mismatch(table.entries()[0], facts).value_or("");
    };
    const auto facts = request("/v1", "GET", "b.org:80", "a=1");
    EXPECT_EQ(why(one("r", {prefix("/v2")}), facts), "path \"/v1\" is not under \"/v2\"");
    EXPECT_EQ(why(one("r", {with_method(prefix("/"), "PUT")}), facts), "method GET is not PUT");
    EXPECT_EQ(why(hosted(one("r", {prefix("/")}), {"*.com"}), facts),
              "host \"b.org\" is not \"*.com\"");
    EXPECT_EQ(why(one("r", {with_query(prefix("/"), {{"a", "2"}})}), facts),
              "query parameter a is not \"2\"");
    EXPECT_EQ(why(one("r", {prefix("/")}), facts), "");
}

}  // namespace
}  // namespace millrace::routing
