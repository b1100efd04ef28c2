#include "routing/rewrite.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/routing/support.hpp"

namespace millrace::routing {
namespace {

using namespace testing;

std::string rewritten(std::string_view path, std::string wanted_prefix, config::UrlRewrite rewrite,
                      config::PathMatchType type = config::PathMatchType::prefix) {
    auto match = prefix(std::move(wanted_prefix));
    match.path_type = type;
    auto source = rule({match}, {});
    source.rewrite = std::move(rewrite);
    const std::vector routes = {route("r", {source})};
    const HttpRouteTable table(routes);
    Rule compiled;
    compiled.manifest = &routes[0].rules[0];
    return rewritten_path(compiled, &table.entries()[0], path).value_or("unchanged");
}

// The table of HTTPPathModifier in the Gateway API, and the root prefix.
TEST(Rewrite, ReplacesPrefixesAsTheGatewayApiSays) {
    struct Case {
        const char* path;
        const char* prefix;
        const char* replacement;
        const char* result;
    };
    for (const auto& c : {
             Case{"/foo/bar", "/foo", "/xyz", "/xyz/bar"},
             Case{"/foo/bar", "/foo", "/xyz/", "/xyz/bar"},
             Case{"/foo/bar", "/foo/", "/xyz", "/xyz/bar"},
             Case{"/foo/bar", "/foo/", "/xyz/", "/xyz/bar"},
             Case{"/foo", "/foo", "/xyz", "/xyz"},
             Case{"/foo/", "/foo", "/xyz", "/xyz/"},
             Case{"/foo/bar", "/foo", "", "/bar"},
             Case{"/foo/", "/foo", "", "/"},
             Case{"/foo", "/foo", "", "/"},
             Case{"/foo/", "/foo", "/", "/"},
             Case{"/foo", "/foo", "/", "/"},
             Case{"/foo/bar", "/foo", "/", "/bar"},
             Case{"/v1/x", "/", "/api", "/api/v1/x"},
             Case{"/", "/", "/api", "/api/"},
             Case{"/foo/bar", "/foo", "xyz", "/xyz/bar"},
         }) {
        EXPECT_EQ(rewritten(c.path, c.prefix, {"", std::nullopt, c.replacement}), c.result)
            << c.path << " prefix " << c.prefix << " by '" << c.replacement << "'";
    }
}

TEST(Rewrite, ReplacesTheFullPath) {
    EXPECT_EQ(rewritten("/foo/bar", "/foo", {"", "/one", std::nullopt}), "/one");
    EXPECT_EQ(rewritten("/foo/bar", "/foo", {"", "", std::nullopt}), "/");
    EXPECT_EQ(rewritten("/foo", "/foo", {"", "/one", std::nullopt}, config::PathMatchType::exact),
              "/one");
}

TEST(Rewrite, LeavesThePathAloneOtherwise) {
    EXPECT_EQ(rewritten("/foo", "/foo", {"host", std::nullopt, std::nullopt}), "unchanged");
    EXPECT_EQ(rewritten("/foo", "/foo", {"", std::nullopt, "/x"}, config::PathMatchType::exact),
              "unchanged");
    EXPECT_FALSE(rewritten_path(Rule{}, nullptr, "/foo"));
}

TEST(Rewrite, TellsTheHostname) {
    config::HttpRouteRule source;
    Rule compiled;
    EXPECT_EQ(rewritten_host(compiled), "");
    compiled.manifest = &source;
    EXPECT_EQ(rewritten_host(compiled), "");
    source.rewrite = config::UrlRewrite{"vllm.internal", std::nullopt, std::nullopt};
    EXPECT_EQ(rewritten_host(compiled), "vllm.internal");
}

std::string edited(config::HeaderModifier edits) {
    config::HttpRouteRule source;
    source.request_headers = std::move(edits);
    Rule compiled;
    compiled.manifest = &source;
    std::vector<HeaderField> fields = {
        {"Host", "h"}, {"X-A", "1"}, {"x-b", "2"}, {"x-a", "3"}, {"Content-Length", "5"}};
    apply_request_headers(compiled, fields);
    std::string out;
    for (const auto& field : fields) {
        out += std::string(field.name) + "=" + std::string(field.value) + " ";
    }
    return out;
}

TEST(Rewrite, EditsRequestHeaders) {
    EXPECT_EQ(edited({}), "Host=h X-A=1 x-b=2 x-a=3 Content-Length=5 ");
    EXPECT_EQ(edited({.set = {{"x-A", "9"}}, .add = {}, .remove = {}}),
              "Host=h x-b=2 Content-Length=5 x-A=9 ");
    EXPECT_EQ(edited({.set = {}, .add = {{"x-b", "9"}}, .remove = {}}),
              "Host=h X-A=1 x-b=2 x-a=3 Content-Length=5 x-b=9 ");
    EXPECT_EQ(edited({.set = {}, .add = {}, .remove = {"x-a", "X-B", "x-none"}}),
              "Host=h Content-Length=5 ");
    EXPECT_EQ(edited({.set = {{"x-new", "1"}}, .add = {{"x-more", "2"}}, .remove = {"x-b"}}),
              "Host=h X-A=1 x-a=3 Content-Length=5 x-new=1 x-more=2 ");
}

TEST(Rewrite, NeverTouchesWhatTheCodecOwns) {
    EXPECT_EQ(edited({.set = {{"Content-Length", "0"}, {"HOST", "evil"}},
                      .add = {{"Transfer-Encoding", "chunked"}, {"Connection", "x"}},
                      .remove = {"host", "content-length"}}),
              "Host=h X-A=1 x-b=2 x-a=3 Content-Length=5 ");
}

TEST(ControlPath, IsRecognisedInEverySpelling) {
    for (const auto* path :
         {"/sleep", "/sleep/", "//sleep", "/%73leep", "/%2Fsleep", "/./sleep", "/x/../sleep",
          "/wake_up", "/v1/load_lora_adapter", "/v1//unload_lora_adapter", "/collective_rpc",
          "/pause", "/scale_elastic_ep", "/reset_prefix_cache", "/../sleep"}) {
        EXPECT_TRUE(is_control_path(path)) << path;
    }
    for (const auto* path : {"/", "", "/v1/chat/completions", "/sleepy", "/v1/sleep", "/Sleep",
                             "/health", "/tokenize", "/%", "/%zz"}) {
        EXPECT_FALSE(is_control_path(path)) << path;
    }
}

}  // namespace
}  // namespace millrace::routing
