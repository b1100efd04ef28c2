#include "config/validate.hpp"

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

/// Files that the cases below name.
FakeSources files() {
    FakeSources fake;
    for (const auto* path : {"/c", "/k", "/ca"}) {
        fake.files[path] = "pem";
    }
    return fake;
}

/// A document with two models on backends `a` and `b`; `%` in a case stands for it.
constexpr const char* kModels =
    "backends: {a: {endpoints: {static: ['http://a']}}, b: {endpoints: {static: ['http://b']}}}\n";

std::string with_backends(std::string text) {
    if (const auto at = text.find('%'); at != std::string::npos) {
        text.replace(at, 1, kModels);
    }
    return text;
}

class Rule : public testing::TestWithParam<Case> {};

TEST_P(Rule, IsAnErrorAtTheKeyThatBreaksIt) {
    expect_one_error(GetParam(), with_backends(GetParam().text), files());
}

INSTANTIATE_TEST_SUITE_P(
    SecondChances, Rule,
    testing::Values(
        Case{"%models: [{id: m, variants: [{name: v, backend: a}], fallback: [{model: @@n}]},"
             " {id: mm, variants: [{name: v, backend: b}]}]",
             "models[0].fallback[0].model", "`n` is not the `id` of a model."},
        Case{"%models: [{id: m, variants: [{name: v, backend: a}], fallback: [{model: @@m}]},"
             " {id: n, variants: [{name: v, backend: b}]}]",
             "models[0].fallback[0].model", "cannot be its own fallback",
             "name a `variant`, or another model"},
        Case{"%models: [{id: m, variants: [{name: v, backend: a}],"
             " fallback: [{model: n, variant: @@w}]}, {id: n, variants: [{name: v, backend: b}]}]",
             "models[0].fallback[0].variant", "`n` has no variant `w`."},
        Case{"%models: [{id: m, variants: [{name: v, backend: a}],"
             " fallback: [{model: n}, @@{model: n}]}, {id: n, variants: [{name: v, backend: b}]}]",
             "models[0].fallback[1]", "names this target twice"},
        Case{"%models: [{id: m, variants: [{name: v, backend: a}, {name: w, backend: b}],"
             " mirror: {backend: @@c}}]",
             "models[0].mirror.backend", "`c` is not a key of `backends`."},
        Case{"%models: [{id: m, variants: [{name: v, backend: a}, {name: w, backend: b}],"
             " overflow: @@{after: 5s}}]",
             "models[0].overflow", "no `fallback`", "add one, or leave `overflow` out"}));

INSTANTIATE_TEST_SUITE_P(
    Pickers, Rule,
    testing::Values(
        Case{"%models: [{id: m, variants: [{name: v, backend: a}, {name: w, backend: b}],"
             " picker: {by: [load, prefix, @@load]}}]",
             "models[0].picker.by[2]", "`load` is in the list already."},
        Case{"%models: [{id: m, variants: [{name: v, backend: a}, {name: w, backend: b}],"
             " picker: @@{by: [session]}}]",
             "models[0].picker", "does not say what a session goes by",
             "give `session` a `header`, a `field` or `api_key: true`"},
        Case{"%models: [{id: m, variants: [{name: v, backend: a}, {name: w, backend: b}],"
             " picker: {by: [session], session: {header: @@'a b'}}}]",
             "models[0].picker.session.header", "`a b` is not a header name."},
        Case{"%models: [{id: m, variants: [{name: v, backend: a}, {name: w, backend: b}],"
             " picker: {guard_percent: @@99}}]",
             "models[0].picker.guard_percent", "between 100 and 100000"},
        Case{"%models: [{id: m, variants: [{name: v, backend: a}, {name: w, backend: b}],"
             " hedge: {budget_percent: @@101}}]",
             "models[0].hedge.budget_percent", "between 0 and 100"},
        Case{"%models: [{id: m, variants: [{name: v, backend: a}, {name: w, backend: b}],"
             " mirror: {backend: b, percent: @@101}}]",
             "models[0].mirror.percent", "between 0 and 100"}));

INSTANTIATE_TEST_SUITE_P(
    Server, Rule,
    testing::Values(
        Case{"listeners: {data: {address: @@localhost:80}}", "listeners.data.address",
             "IP address, not the name `localhost`", "write `127.0.0.1`"},
        Case{"listeners: {metrics: {address: @@0.0.0.0:8080}}", "listeners.metrics.address",
             "Port 8080 is already used by `listeners.data.address`."},
        Case{"listeners: {admin: {address: @@127.0.0.1:9090}}", "listeners.admin.address",
             "Port 9090 is already used by `listeners.metrics.address`."},
        Case{"listeners: {admin: @@{address: 0.0.0.0:9091}}", "listeners.admin", "needs a `token`",
             "or listen on 127.0.0.1"},
        Case{
            "listeners: {data: {tls: @@{certificate: /c, key: /k, client_certificates: optional}}}",
            "listeners.data.tls", "`client_certificates` needs `client_ca`"},
        Case{"listeners: {data: {tls: {certificate: /c, key: /k, client_ca: @@/ca}}}",
             "listeners.data.tls.client_ca", "`client_ca` does nothing",
             "set `client_certificates: required` or `optional`"},
        Case{"listeners: {data: {tls: @@{certificate: /c}}}", "listeners.data.tls",
             "The key `key` is required."},
        Case{"listeners: {data: {tls: {certificate: @@/gone, key: /k}}}",
             "listeners.data.tls.certificate", "The file `/gone` cannot be read."},
        Case{"limits: {body: 2MiB, buffered_bytes: @@1MiB}", "limits.buffered_bytes",
             "smaller than one `body` of 2MiB"},
        Case{"trust: {proxies: [10.0.0.0/8, @@10.1.0.0/8]}", "trust.proxies[1]",
             "is not a network"},
        Case{"authentication: {tenant_header: @@x-tenant}", "authentication.tenant_header",
             "while no proxy is trusted", "set `trust.proxies`"},
        Case{"authentication: {tenant_header: @@'x tenant'}\ntrust: {proxies: [10.0.0.0/8]}",
             "authentication.tenant_header", "`x tenant` is not a header name."},
        Case{"authentication: {tenant_header: @@X-Api-Key}\ntrust: {proxies: [10.0.0.0/8]}",
             "authentication.tenant_header", "has a meaning already"},
        Case{"authentication: {certificates: @@{a.b: acme}}", "authentication.certificates",
             "clients are not asked for one", "set `listeners.data.tls.client_certificates`"},
        Case{"authentication: {certificates: {@@a.b: 'a b'}}\nlisteners: {data: {tls: "
             "{certificate: /c, key: /k, client_ca: /ca, client_certificates: optional}}}",
             "authentication.certificates[\"a.b\"]", "`a b` is not a valid name for a tenant."},
        Case{"authentication: {certificates: {a.b: @@[acme]}}\nlisteners: {data: {tls: "
             "{certificate: /c, key: /k, client_ca: /ca, client_certificates: optional}}}",
             "authentication.certificates[\"a.b\"]", "Expected text, found a list."}));

INSTANTIATE_TEST_SUITE_P(
    Models, Rule,
    testing::Values(
        Case{"%models:\n  - {id: @@a b, variants: [{name: x, backend: a}]}", "models[0].id",
             "`a b` is not a valid name"},
        Case{"%models:\n  - {id: @@a..b, variants: [{name: x, backend: a}]}", "models[0].id",
             "is not a valid name"},
        Case{"%models:\n  - {id: m, variants: [{name: x, backend: a}]}\n  - {id: @@m, variants: "
             "[{name: x, backend: a}]}",
             "models[1].id", "The name `m` is already taken by `models[0].id`."},
        Case{"%models:\n  - {id: m, aliases: [n], variants: [{name: x, backend: a}]}\n  - {id: o, "
             "aliases: [@@n], variants: [{name: x, backend: a}]}",
             "models[1].aliases[0]", "already taken by `models[0].aliases[0]`."},
        Case{"%models:\n  - {id: m, variants: [{name: x, backend: a}, {name: @@x, backend: b}]}",
             "models[0].variants[1].name", "two variants named `x`"},
        Case{"backends: {vllm: {endpoints: {static: ['http://a']}}}\nmodels: [{id: m, variants: "
             "[{name: x, backend: @@vlm}]}]",
             "models[0].variants[0].backend", "`vlm` is not a key of `backends`.",
             "did you mean `vllm`?"},
        Case{"%models: [{id: m, variants: [{name: x, backend: a}], sticky: {header: @@'a b'}}]",
             "models[0].sticky.header", "`a b` is not a header name."},
        Case{"%models: [{id: m, variants: [{name: x, backend: a}], sticky: {header: "
             "@@Authorization}}]",
             "models[0].sticky.header", "says who a caller is",
             "use `api_key: true` or a header of your own"},
        Case{"%models: [{id: m, variants: [{name: x, backend: a}], sticky: {header: "
             "@@X-Millrace-Tenant}}]",
             "models[0].sticky.header", "says who a caller is",
             "use `api_key: true` or a header of your own"},
        Case{"%models: [{id: m, variants: [{name: x, backend: a}], sticky: @@{header: x-user, "
             "api_key: true}}]",
             "models[0].sticky", "exclude each other"}));

INSTANTIATE_TEST_SUITE_P(
    Backends, Rule,
    testing::Values(
        Case{"backends: {@@a b: {endpoints: {static: ['http://a']}}}", "backends.a b",
             "`a b` is not a valid name for a backend."},
        Case{"backends: {a: {endpoints: @@{}}}", "backends.a.endpoints",
             "A backend needs endpoints: `static` or `dns`."},
        Case{"backends: {a: @@{}}", "backends.a", "The key `endpoints` is required."},
        Case{"backends: {a: {endpoints: {static: [@@'http://a/v1']}}}",
             "backends.a.endpoints.static[0]", "is not an endpoint"},
        Case{"backends: {a: {endpoints: {static: [@@'a:80']}}}", "backends.a.endpoints.static[0]",
             "is not an endpoint", "start with `http://`"},
        Case{"backends: {a: {endpoints: {static: ['http://a', @@'http://a:80']}}}",
             "backends.a.endpoints.static[1]", "is listed twice"},
        Case{"backends: {a.b: {endpoints: {dns: {name: @@10.0.0.1}}}}",
             "backends[\"a.b\"].endpoints.dns.name", "is an address, not a name", "use `static`"},
        Case{"backends: {a: {endpoints: {dns: {name: @@a_b}}}}", "backends.a.endpoints.dns.name",
             "`a_b` is not a host name."},
        Case{"backends: {a: {endpoints: {dns: {name: a, port: @@0}}}}",
             "backends.a.endpoints.dns.port", "between 1 and 65535"},
        Case{"backends: {a: {endpoints: {static: ['https://a']}, tls: @@{certificate: /c}}}",
             "backends.a.tls", "`certificate` and `key` go together."},
        Case{"backends: {a: {endpoints: {static: ['https://a']}, tls: {server_name: @@a_b}}}",
             "backends.a.tls.server_name", "is not a host name"},
        Case{"backends: {a: {endpoints: {static: ['http://a']}, idle_timeout: @@0s}}",
             "backends.a.idle_timeout", "between 1ms and 24h"},
        Case{"backends: {a: {endpoints: {static: ['http://a']}, outliers: {first_token_percent: "
             "@@100}}}",
             "backends.a.outliers.first_token_percent",
             "`first_token_percent` must be more than 100, or 0",
             "try 300: three times as long as the others"},
        Case{"backends: {a: {endpoints: {static: ['http://a']}, namespace: @@a.b}}",
             "backends.a.namespace", "is not a Kubernetes namespace"}));

class Caution : public testing::TestWithParam<Case> {};

TEST_P(Caution, IsAWarningAndLoads) {
    const auto [text, line, column] = unmark(with_backends(GetParam().text));
    const auto result = load_text(text, files());
    EXPECT_TRUE(result.loaded) << dump(result.problems);
    const auto found = std::ranges::find_if(result.problems, [](const Problem& problem) {
        return problem.message.find(GetParam().message) != std::string::npos;
    });
    ASSERT_NE(found, result.problems.end()) << dump(result.problems);
    EXPECT_EQ(found->severity, Severity::warning);
    EXPECT_EQ(found->path, GetParam().path);
    EXPECT_EQ(found->line, line);
    EXPECT_EQ(found->column, column);
}

INSTANTIATE_TEST_SUITE_P(
    All, Caution,
    testing::Values(
        Case{"{}", "authentication", "No authentication is configured"},
        Case{"{}", "models", "nothing is served"},
        Case{"%models: [{id: m, variants: @@[{name: x, backend: a, weight: 0}]}]",
             "models[0].variants", "All weights of `m` are 0"},
        Case{"backends: {@@a: {endpoints: {static: ['http://a']}}}", "backends.a",
             "No model and no route uses this backend."},
        Case{"backends: {a: {endpoints: {static: ['http://a']}, tls: @@{server_name: b}}}",
             "backends.a.tls", "`tls` does nothing"},
        Case{"backends: {a: {endpoints: {static: ['http://a', 'http://b', 'http://c']}, outliers: "
             "{first_token_percent: @@300}}}",
             "backends.a.outliers.first_token_percent", "fewer than four endpoints"},
        Case{"backends: {a: {endpoints: {static: ['https://a']}, tls: {verify: @@false}}}",
             "backends.a.tls.verify", "is not verified"}));

TEST(Validate, AcceptsPortZeroSeveralTimes) {
    const auto result = load_text(
        "listeners: {data: {address: 127.0.0.1:0}, metrics: {address: 127.0.0.1:0}, admin: "
        "{address: 127.0.0.1:0}}");
    EXPECT_TRUE(result.loaded) << dump(result.problems);
}

/// Problems of a model on backends `a` and `b` that also says `more`.
std::string problems_of(const std::string& more) {
    const auto result = load_text(with_backends(
        "%models: [{id: m, variants: [{name: v, backend: a}, {name: w, backend: a}], " + more +
        "}, {id: n, variants: [{name: v, backend: b}]}]"));
    EXPECT_TRUE(result.loaded) << dump(result.problems);
    return dump(result.problems);
}

TEST(Validate, TakesEveryKindOfSessionKey) {
    for (const auto* key : {"header: x-session", "field: user", "api_key: true"}) {
        EXPECT_THAT(problems_of("picker: {by: [session], session: {" + std::string(key) + "}}"),
                    testing::Not(testing::HasSubstr("models[")))
            << key;
    }
}

TEST(Validate, LetsAVariantBeTheFallbackOfItsOwnModel) {
    EXPECT_THAT(
        problems_of("fallback: [{model: m, variant: w}, {model: n}], overflow: {after: 5s}"),
        testing::Not(testing::HasSubstr("models[")));
}

TEST(Validate, TakesTheSameFallbackByTwoOfItsVariants) {
    EXPECT_THAT(problems_of("fallback: [{model: m, variant: v}, {model: m, variant: w}]"),
                testing::Not(testing::HasSubstr("models[")));
}

TEST(Validate, KnowsThatAMirrorUsesItsBackend) {
    const auto result = load_text(
        "backends: {a: {endpoints: {static: ['http://a']}}, b: {endpoints: {static: "
        "['http://b']}}}\n"
        "models: [{id: m, variants: [{name: v, backend: a}], mirror: {backend: b}}]");
    EXPECT_TRUE(result.loaded);
    EXPECT_THAT(dump(result.problems), testing::Not(testing::HasSubstr("uses this backend")));
}

TEST(Validate, DoesNotBlameVariantsForABrokenListOfBackends) {
    const auto result =
        load_text("models: [{id: m, variants: [{name: x, backend: a}]}]\nbackends: [a]\n");
    EXPECT_EQ(errors_of(result.problems).size(), 1U) << dump(result.problems);
}

}  // namespace
}  // namespace millrace::config
