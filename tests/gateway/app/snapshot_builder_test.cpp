#include "gateway/app/snapshot_builder.hpp"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>

#include "gateway/identity/token.hpp"
#include "tests/metrics/exposition.hpp"
#include "tests/routing/support.hpp"
#include "tests/support/manual_clock.hpp"
#include "tests/support/temp_dir.hpp"

namespace millrace::gateway {
namespace {

using metrics::testing::value_of;
using routing::testing::model;
using routing::testing::variant;

class SnapshotBuilderTest : public testing::Test {
protected:
    Result<std::shared_ptr<const Snapshot>> build() {
        auto loaded = std::make_shared<config::Loaded>();
        loaded->config = config;
        return builder.build(std::move(loaded));
    }
    std::shared_ptr<const Snapshot> must_build() {
        auto built = build();
        EXPECT_TRUE(built) << (built ? "" : built.error().detail);
        return built ? *built : nullptr;
    }
    /// One model on one backend of the same name.
    void add(const std::string& name) {
        config.models.push_back(model(name, {variant("v", 1, name + "-backend")}));
        config.backends[name + "-backend"];
    }
    const BackendRuntime& runtime(const Snapshot& snapshot, const std::string& backend) const {
        return snapshot.backends.at(state.pools.find(backend)->id());
    }

    config::Config config;
    test::ManualClock clock;
    metrics::Registry registry{1};
    routing::RoutingState state;
    SnapshotBuilder builder{state, registry, clock, "own-namespace"};
};

TEST_F(SnapshotBuilderTest, GivesEveryRoutedBackendItsRuntime) {
    add("a");
    add("b");
    config.backends["b-backend"].api_key = Secret("sk-upstream");
    config.backends["unused"];
    const auto snapshot = must_build();
    ASSERT_TRUE(snapshot);
    EXPECT_EQ(runtime(*snapshot, "a-backend").settings,
              &snapshot->config().backends.at("a-backend"));
    EXPECT_EQ(runtime(*snapshot, "a-backend").authorization, "");
    EXPECT_EQ(runtime(*snapshot, "b-backend").authorization, "Bearer sk-upstream");
    EXPECT_NE(runtime(*snapshot, "a-backend").tls, nullptr);
    for (const auto& rule : snapshot->catalog->rules()) {
        for (const auto& target : rule.targets) {
            EXPECT_EQ(snapshot->backend_of(target).settings, target.backend);
        }
    }
    EXPECT_EQ(state.pools.find("unused"), nullptr);
}

TEST_F(SnapshotBuilderTest, KeepsWhatWasLearnedOfABackendAcrossReloads) {
    add("a");
    const auto first = must_build();
    runtime(*first, "a-backend").learned->refuses_continuous_usage = true;
    add("b");
    const auto second = must_build();
    EXPECT_TRUE(runtime(*second, "a-backend").learned->refuses_continuous_usage);
    EXPECT_FALSE(runtime(*second, "b-backend").learned->refuses_continuous_usage);
}

TEST_F(SnapshotBuilderTest, ListsModelsByIdAndAnswersForAliasesToo) {
    add("big");
    config.models.back().aliases = {"gpt-4o"};
    config.models.back().owned_by = "acme";
    const auto snapshot = must_build();
    EXPECT_NE(snapshot->models_body.find(R"("id":"big")"), std::string::npos)
        << snapshot->models_body;
    EXPECT_EQ(snapshot->models_body.find("gpt-4o"), std::string::npos);
    ASSERT_TRUE(snapshot->model_bodies.contains("big"));
    ASSERT_TRUE(snapshot->model_bodies.contains("gpt-4o"));
    const auto& alias = snapshot->model_bodies.at("gpt-4o");
    EXPECT_NE(alias.find(R"("id":"gpt-4o")"), std::string::npos) << alias;
    EXPECT_NE(alias.find(R"("owned_by":"acme")"), std::string::npos) << alias;
    EXPECT_NE(alias.find(R"("created":1700000000)"), std::string::npos) << alias;
}

TEST_F(SnapshotBuilderTest, LabelsDemandWithTheBackendsNamespaceOrOurOwn) {
    add("a");
    add("b");
    config.backends["b-backend"].kubernetes_namespace = "gpu";
    must_build();
    EXPECT_EQ(value_of(registry, "vllm_pending_requests",
                       {{"namespace", "own-namespace"}, {"model", "a"}}),
              0);
    EXPECT_EQ(value_of(registry, "vllm_pending_requests", {{"namespace", "gpu"}, {"model", "b"}}),
              0);
}

TEST_F(SnapshotBuilderTest, HidesTheSeriesOfWhatAReloadRemovedAndShowsThemAgain) {
    add("a");
    const auto only_a = config;
    add("b");
    must_build();
    EXPECT_NE(registry.render().find("\"b-backend\""), std::string::npos);
    const auto both = std::exchange(config, only_a);
    must_build();
    EXPECT_EQ(registry.render().find("\"b\""), std::string::npos);
    EXPECT_EQ(registry.render().find("\"b-backend\""), std::string::npos);
    EXPECT_NE(registry.render().find("\"a-backend\""), std::string::npos);
    config = both;
    must_build();
    EXPECT_NE(registry.render().find("\"b-backend\""), std::string::npos);
}

TEST_F(SnapshotBuilderTest, LetsEverybodyInWithoutKeysAndNobodyUnknownWithThem) {
    add("a");
    EXPECT_FALSE(must_build()->authenticator.requires_key());

    const Secret pepper("pepper");
    const auto key = new_key("acme", pepper);
    ASSERT_TRUE(key);
    const test::TempDir directory;
    config.authentication.keys = config::Keys{directory.write("keys", key->line + "\n"), pepper};
    const auto snapshot = must_build();
    ASSERT_TRUE(snapshot);
    const std::array<HeaderField, 1> good{HeaderField{"x-api-key", key->token.reveal(), 0}};
    const auto principal = snapshot->authenticator.authenticate(good);
    ASSERT_TRUE(principal);
    EXPECT_EQ(principal->tenant, "acme");
    EXPECT_EQ(principal->key_id, key->id);
    EXPECT_EQ(principal->tenant_metric, registry.intern_tenant("acme").value);
    const std::array<HeaderField, 1> bad{HeaderField{"x-api-key", "sk-guess", 0}};
    EXPECT_FALSE(snapshot->authenticator.authenticate(bad));
    EXPECT_FALSE(snapshot->authenticator.authenticate({}));
}

TEST_F(SnapshotBuilderTest, MapsCertificatesAndTheHeaderOfAProxyToTenants) {
    add("a");
    config.tenants["acme"];
    config.authentication.certificates["web.example"] = "website";
    config.authentication.tenant_header = "x-tenant";
    const auto snapshot = must_build();
    const auto by_certificate = snapshot->authenticator.authenticate({}, {"web.example", false});
    ASSERT_TRUE(by_certificate);
    EXPECT_EQ(by_certificate->tenant, "website");
    EXPECT_EQ(by_certificate->tenant_metric, registry.intern_tenant("website").value);
    const std::array<HeaderField, 1> named{HeaderField{"x-tenant", "acme", 0}};
    const auto by_header = snapshot->authenticator.authenticate(named, {"", true});
    ASSERT_TRUE(by_header);
    EXPECT_EQ(by_header->tenant, "acme");
    EXPECT_EQ(by_header->tenant_metric, registry.intern_tenant("acme").value);
    const std::array<HeaderField, 1> unknown{HeaderField{"x-tenant", "website", 0}};
    EXPECT_EQ(snapshot->authenticator.authenticate(unknown, {"", true})->tenant_metric,
              registry.intern_tenant(kAnonymousTenant).value);
}

TEST_F(SnapshotBuilderTest, ListsModelsThatChooseAnotherOne) {
    add("big");
    config.models.emplace_back();
    config.models.back().id = "any";
    config.models.back().automatic = config::AutoModel{.candidates = {"big"}};
    const auto snapshot = must_build();
    EXPECT_NE(snapshot->models_body.find(R"("id":"any")"), std::string::npos);
    EXPECT_TRUE(snapshot->model_bodies.contains("any"));
}

TEST_F(SnapshotBuilderTest, FailsWholeAndNamesTheFileThatCannotBeUsed) {
    add("a");
    const auto good = config;
    const test::TempDir directory;
    const auto missing = (directory.path() / "missing.pem").string();
    const auto keys = directory.write("keys", "one acme 00ff\n");

    config.authentication.keys = config::Keys{missing, Secret("p")};
    auto failed = build();
    ASSERT_FALSE(failed);
    EXPECT_NE(failed.error().detail.find(missing), std::string::npos) << failed.error().detail;

    config.authentication.keys->file = keys;
    failed = build();
    ASSERT_FALSE(failed);
    EXPECT_NE(failed.error().detail.find(keys + ":1"), std::string::npos) << failed.error().detail;

    config = good;
    config.listeners.data.tls.emplace();
    config.listeners.data.tls->certificate = missing;
    config.listeners.data.tls->key = missing;
    failed = build();
    ASSERT_FALSE(failed);
    EXPECT_NE(failed.error().detail.find(missing), std::string::npos) << failed.error().detail;

    config = good;
    config.backends["a-backend"].tls.ca = missing;
    failed = build();
    ASSERT_FALSE(failed);
    EXPECT_NE(failed.error().detail.find("`a-backend`"), std::string::npos);
    EXPECT_NE(failed.error().detail.find(missing), std::string::npos) << failed.error().detail;
}

TEST_F(SnapshotBuilderTest, NothingOfAConfigurationThatFailedShowsInTheMetrics) {
    add("a");
    const auto running = must_build();
    add("fresh");
    config.backends["fresh-backend"].tls.ca = "/nonexistent/ca.pem";
    ASSERT_FALSE(build());
    EXPECT_EQ(registry.render().find("\"fresh\""), std::string::npos);
    EXPECT_EQ(registry.render().find("\"fresh-backend\""), std::string::npos);
    EXPECT_NE(registry.render().find("\"a-backend\""), std::string::npos);
}

}  // namespace
}  // namespace millrace::gateway
