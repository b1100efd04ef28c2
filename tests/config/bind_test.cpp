#include "config/bind.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/config/fake_sources.hpp"

namespace millrace::config {
namespace {

using test::Case;
using test::dump;
using test::FakeSources;
using test::load_text;

constexpr const char* kFile = "/etc/millrace/millrace.yaml";

TEST(Bind, FillsEveryKindOfValue) {
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

class Binding : public testing::TestWithParam<Case> {};

TEST_P(Binding, SaysWhatIsWrongAtItsExactPlace) {
    FakeSources fake;
    fake.files["/etc/millrace/keys.txt"] = "k1 team-a 00\n";
    expect_one_error(GetParam(), GetParam().text, fake);
}

INSTANTIATE_TEST_SUITE_P(
    All, Binding,
    testing::Values(
        Case{"@@[1]\n", "", "Expected a mapping of keys to values, found a list."},
        Case{"@@limit: {}\n", "limit", "Unknown key `limit`.", "did you mean `limits`?"},
        Case{"limits:\n  @@boddy: 1\n", "limits.boddy", "Unknown key", "did you mean `body`?"},
        Case{"@@plugins: {}\n", "plugins", "Unknown key `plugins`."},
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
        Case{"models:\n  - id: m\n    variants: [{name: a, backend: b}]\n    fallback: @@[{model: "
             "c}, "
             "{model: d}, {model: e}, {model: f}, {model: g}, {model: h}]\nbackends: {b: "
             "{endpoints: {static: ['http://a']}}}\n",
             "models[0].fallback", "The list holds at most 5 items."},
        Case{"models:\n  - id: m\n    variants:\n      - {name: a, @@backned: b}\nbackends: {b: "
             "{endpoints: {static: ['http://a']}}}\n",
             "models[0].variants[0].backned", "Unknown key", "did you mean `backend`?"},
        Case{"models:\n  - id: m\n    variants:\n      - {name: a, backend: b, weight: "
             "@@1000001}\nbackends: {b: {endpoints: {static: ['http://a']}}}\n",
             "models[0].variants[0].weight", "between 0 and 1000000"},
        Case{"authentication: {keys: @@{file: keys.txt}}\n", "authentication.keys",
             "The key `pepper` is required."}));

}  // namespace
}  // namespace millrace::config
