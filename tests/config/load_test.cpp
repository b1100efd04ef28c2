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

constexpr const char* kFile = "/etc/millrace/millrace.yaml";

TEST(Load, FillsEveryKindOfValue) {
    FakeSources fake;
    fake.environment["KEY"] = "sesame";
    fake.files["/run/pepper"] = "salt\n";
    fake.files["/etc/millrace/keys.txt"] = "k1 team-a 00\n";
    const auto result = load_text(R"(
listeners:
  data: {address: '[::1]:8443', max_connections: 5}
  admin: {token: {env: KEY}}
limits: {body: 64MiB, header_block: 4096}
client_timeouts: {keep_alive: 1m30s, body_rate: 2KiB}
authentication: {keys: {file: keys.txt, pepper: {file: /run/pepper}}}
trust: {proxies: [10.0.0.0/8, '::1']}
models:
  - id: meta/llama-3
    aliases: [llama]
    class: batch
    sticky: {header: x-session}
    unready: unavailable
    variants:
      - {name: a, weight: 3, backend: b.1, served_name: "7"}
backends:
  b.1:
    endpoints:
      static: [https://vllm:8000]
      dns: {name: vllm.local, refresh: 5s, https: true}
    usage: {final: false, continuous: on}
    tls: {verify: false}
    namespace: ai
routes: {on_model_conflict: rewrite}
logging: {level: debug, access_log: logs/access.log}
drain: {pre_stop: 0, deadline: 5m}
)",
                                  fake);
    ASSERT_TRUE(result.loaded) << dump(result.problems);
    const auto& config = result.loaded->config;
    EXPECT_EQ(config.listeners.data.address, (Address{"::1", 8443}));
    EXPECT_EQ(config.listeners.data.max_connections, 5U);
    EXPECT_EQ(config.listeners.admin.token->reveal(), "sesame");
    EXPECT_EQ(config.limits.body, 64 * kMiB);
    EXPECT_EQ(config.limits.header_block, 4096U);
    EXPECT_EQ(config.client_timeouts.keep_alive, 90s);
    EXPECT_EQ(config.authentication.keys->file, "/etc/millrace/keys.txt");
    EXPECT_EQ(config.authentication.keys->pepper.reveal(), "salt");
    EXPECT_THAT(config.trust.proxies, testing::ElementsAre("10.0.0.0/8", "::1"));
    ASSERT_EQ(config.models.size(), 1U);
    EXPECT_EQ(config.models[0].workload_class, WorkloadClass::batch);
    EXPECT_EQ(config.models[0].sticky.header, "x-session");
    EXPECT_EQ(config.models[0].unready, Unready::unavailable);
    EXPECT_EQ(config.models[0].variants[0],
              (Variant{.name = "a", .weight = 3, .backend = "b.1", .served_name = "7"}));
    const auto& backend = config.backends.at("b.1");
    EXPECT_EQ(backend.endpoints.dns->refresh, 5s);
    EXPECT_TRUE(backend.endpoints.dns->https);
    EXPECT_FALSE(backend.usage.final);
    EXPECT_EQ(backend.usage.continuous, ContinuousUsage::on);
    EXPECT_EQ(backend.kubernetes_namespace, "ai");
    EXPECT_EQ(config.routes.on_model_conflict, ModelConflict::rewrite);
    EXPECT_EQ(config.logging.level, LogLevel::debug);
    EXPECT_EQ(config.logging.access_log, "/etc/millrace/logs/access.log");
    EXPECT_EQ(config.drain.pre_stop, 0s);
    EXPECT_THAT(result.loaded->files,
                testing::UnorderedElementsAre(kFile, "/run/pepper", "/etc/millrace/keys.txt"));
}

class OneError : public testing::TestWithParam<Case> {};

TEST_P(OneError, HasItsExactPlacePathAndSuggestion) {
    FakeSources fake;
    fake.files["/etc/millrace/keys.txt"] = "k1 team-a 00\n";
    expect_one_error(GetParam(), GetParam().text, fake);
}

INSTANTIATE_TEST_SUITE_P(
    Binding, OneError,
    testing::Values(
        Case{"", "", "The document is empty."}, Case{"a: {}\n---\nb: {}\n", "", "several YAML"},
        Case{"@@[1]\n", "", "Expected a mapping of keys to values, found a list."},
        Case{"@@limit: {}\n", "limit", "Unknown key `limit`.", "did you mean `limits`?"},
        Case{"limits:\n  @@boddy: 1\n", "limits.boddy", "Unknown key", "did you mean `body`?"},
        Case{"@@tenants: {}\n", "tenants", "Unknown key `tenants`."},
        Case{"@@limits:\n", "limits", "The key has no value"},
        Case{"limits: @@3\n", "limits", "Expected a mapping of keys to values, found `3`."},
        Case{"limits: {body: @@32MB}\n", "limits.body", "between 1 and 1024MiB, found `32MB`",
             "write `32MiB`"},
        Case{"limits: {body: @@\"1024\"}\n", "limits.body", "Expected a size", "remove the quotes"},
        Case{"limits: {header_block: @@61KiB}\n", "limits.header_block",
             "between 256 and 60KiB, found `61KiB`"},
        Case{"limits: {header_fields: @@-1}\n", "limits.header_fields", "between 1 and 1000"},
        Case{"process: {workers: @@\"4\"}\n", "process.workers", "Expected a whole number",
             "remove the quotes"},
        Case{"limits: {requests_per_connection: @@4294967296}\n", "limits.requests_per_connection",
             "between 1 and 4294967295"},
        Case{"client_timeouts: {header: @@10}\n", "client_timeouts.header",
             "Expected a duration such as", "write `10s`"},
        Case{"client_timeouts: {header: @@0s}\n", "client_timeouts.header", "between 1ms and 24h"},
        Case{"drain: {deadline: @@25h}\n", "drain.deadline", "between 0s and 24h"},
        Case{"listeners: {data: {address: @@\":8080\"}}\n", "listeners.data.address",
             "Expected an address", "write `0.0.0.0:8080`"},
        Case{"listeners: {data: {address: @@127.0.0.1:99999}}\n", "listeners.data.address",
             "Expected an address"},
        Case{"backends:\n  b:\n    endpoints: {static: ['http://a']}\n    usage: {final: @@yes}\n",
             "backends.b.usage.final", "Expected `true` or `false`", "write `true`"},
        Case{"backends:\n  b:\n    endpoints: {static: ['http://a']}\n    usage: {final: "
             "@@\"true\"}\n",
             "backends.b.usage.final", "without quotes, found `true`"},
        Case{"logging: {level: @@warn}\n", "logging.level",
             "one of `debug`, `info`, `warning`, `error`"},
        Case{"logging: {level: @@inof}\n", "logging.level", "found `inof`", "did you mean `info`?"},
        Case{"logging: {access_log: @@\"a\\nb\"}\n", "logging.access_log", "control character"},
        Case{"trust: {proxies: @@10.0.0.0/8}\n", "trust.proxies", "Expected a list, found `10.0."},
        Case{"trust: {proxies: [@@{}]}\n", "trust.proxies[0]", "Expected text, found a mapping."},
        Case{"models:\n  - @@variants: [{name: a, backend: b}]\nbackends: {b: {endpoints: {static: "
             "['http://a']}}}\n",
             "models[0]", "The key `id` is required."},
        Case{"models:\n  - id: a\n    variants: @@[]\n", "models[0].variants",
             "The list needs at least 1 item."},
        Case{"models:\n  - id: m\n    variants:\n      - {name: a, @@backned: b}\nbackends: {b: "
             "{endpoints: {static: ['http://a']}}}\n",
             "models[0].variants[0].backned", "Unknown key", "did you mean `backend`?"},
        Case{"models:\n  - id: m\n    variants:\n      - {name: a, backend: b, weight: "
             "@@1000001}\nbackends: {b: {endpoints: {static: ['http://a']}}}\n",
             "models[0].variants[0].weight", "between 0 and 1000000"},
        Case{"listeners: {admin: {token: @@hunter2}}\n", "listeners.admin.token",
             "A secret is never written in the document itself"},
        Case{"listeners: {admin: {token: @@{file: a, env: B}}}\n", "listeners.admin.token",
             "exactly one key"},
        Case{"listeners: {admin: {token: {@@fil: a}}}\n", "listeners.admin.token.fil",
             "Unknown key `fil`", "did you mean `file`?"},
        Case{"listeners: {admin: {token: {file: @@absent}}}\n", "listeners.admin.token.file",
             "The file `/etc/millrace/absent` cannot be read."},
        Case{"listeners: {admin: {token: {env: @@ABSENT}}}\n", "listeners.admin.token.env",
             "`ABSENT` is not set"},
        Case{"authentication: {keys: @@{file: keys.txt}}\n", "authentication.keys",
             "The key `pepper` is required."},
        Case{"routes: {manifests: [@@gone.yaml]}\n", "routes.manifests[0]",
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

TEST(Load, NeverPrintsASecret) {
    FakeSources fake;
    fake.environment["TOKEN"] = "tell-nobody";
    const auto result = load_text(
        "listeners: {admin: {token: {env: TOKEN}, address: 'x:1'}}\n"
        "authentication: {keys: {file: k, pepper: tell-nobody}}\n",
        fake);
    EXPECT_THAT(dump(result.problems), testing::Not(HasSubstr("tell-nobody")));
    EXPECT_EQ(errors_of(result.problems).size(), 3U);
}

TEST(Load, FingerprintFollowsTheFilesThatTheDocumentNames) {
    FakeSources fake;
    fake.files["/etc/millrace/c"] = "certificate";
    fake.files["/etc/millrace/k"] = "key";
    const std::string text = "listeners: {data: {tls: {certificate: c, key: k}}}\n";
    const auto before = load_text(text, fake).loaded;
    ASSERT_TRUE(before);
    EXPECT_EQ(*before, *load_text(text, fake).loaded);
    fake.files["/etc/millrace/k"] = "rotated";
    EXPECT_NE(*before, *load_text(text, fake).loaded);
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
