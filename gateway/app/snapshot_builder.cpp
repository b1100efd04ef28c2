#include "gateway/app/snapshot_builder.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "gateway/adapters/file_reader.hpp"
#include "gateway/identity/key_file.hpp"
#include "gateway/identity/key_table.hpp"
#include "gateway/openai/models_list.hpp"
#include "routing/prompt_blocks.hpp"

namespace millrace::gateway {
namespace {

/// Some model chooses among its endpoints by the beginning of the prompt.
bool remembers_prompts(const routing::Catalog& catalog, std::string_view backend) {
    return std::ranges::any_of(catalog.rules(), [backend](const routing::Rule& rule) {
        return rule.policy &&
               std::ranges::count(rule.policy->stages, routing::Stage::prefix_affinity) > 0 &&
               std::ranges::count(rule.targets, backend, &routing::Target::backend_name) > 0;
    });
}

}  // namespace

/// Gives series ids to what the catalog compiles, and notes which are in use.
class SnapshotBuilder::Interner final : public routing::MetricInterner {
public:
    Interner(metrics::Registry& registry, std::string own_namespace)
        : registry_(registry), own_namespace_(std::move(own_namespace)) {}

    std::uint32_t variant(const routing::VariantLabels& labels) override {
        const auto name_space = labels.kubernetes_namespace.empty()
                                    ? std::string_view(own_namespace_)
                                    : labels.kubernetes_namespace;
        return *variants
                    .insert(
                        registry_.intern_variant(labels.model, labels.variant, name_space).value)
                    .first;
    }
    std::uint32_t backend(std::string_view name) override {
        return *backends.insert(registry_.intern_backend(name).value).first;
    }

    std::set<std::uint32_t> variants;
    std::set<std::uint32_t> backends;

private:
    metrics::Registry& registry_;
    std::string own_namespace_;
};

SnapshotBuilder::SnapshotBuilder(routing::RoutingState& routing, metrics::Registry& registry,
                                 const Clock& clock, std::string kubernetes_namespace)
    : routing_(routing),
      registry_(registry),
      clock_(clock),
      kubernetes_namespace_(std::move(kubernetes_namespace)),
      created_(std::chrono::duration_cast<std::chrono::seconds>(clock.wall().time_since_epoch())
                   .count()) {}

Result<Authenticator> SnapshotBuilder::authenticator(const config::Config& config) {
    const auto anonymous = registry_.intern_tenant(kAnonymousTenant).value;
    if (!config.authentication.keys) {
        return Authenticator(nullptr, clock_, anonymous, tenant_sources(config));
    }
    const auto& keys = *config.authentication.keys;
    const auto text = read_whole_file(keys.file);
    if (!text) {
        return std::unexpected(text.error());
    }
    auto parsed = parse_key_file(*text);
    if (!parsed.problems.empty()) {
        return failure(Errc::internal, Origin::policy, describe(keys.file, parsed.problems));
    }
    const auto table = KeyTable::build(
        std::move(parsed), keys.pepper,
        [this](std::string_view tenant) { return registry_.intern_tenant(tenant).value; });
    return Authenticator(table, clock_, anonymous, tenant_sources(config));
}

/// Null when only keys say who is which tenant.
std::shared_ptr<const TenantSources> SnapshotBuilder::tenant_sources(const config::Config& config) {
    const auto& settings = config.authentication;
    if (settings.certificates.empty() && settings.tenant_header.empty()) {
        return nullptr;
    }
    auto sources = std::make_shared<TenantSources>();
    for (const auto& [name, tenant] : settings.certificates) {
        sources->certificates[name] = {tenant, registry_.intern_tenant(tenant).value};
    }
    if (!settings.tenant_header.empty()) {
        sources->header = settings.tenant_header;
        for (const auto& [tenant, unused] : config.tenants) {
            sources->named[tenant] = registry_.intern_tenant(tenant).value;
        }
    }
    return sources;
}

routing::PoolLimits SnapshotBuilder::limits_of(const config::Backend& settings) {
    routing::PoolLimits limits;
    limits.slots_per_endpoint =
        settings.slots_per_endpoint > 0 ? settings.slots_per_endpoint : routing::kLearnedSlots;
    if (settings.metrics) {
        limits.advice_age = settings.metrics->max_age;
    }
    limits.line = {settings.queue.requests, settings.queue.bytes, settings.queue.tenant_requests};
    auto& health = limits.health;
    health.checks.enabled = settings.health.has_value();
    if (settings.health) {
        health.checks.unhealthy_after = settings.health->unhealthy_after;
        health.checks.healthy_after = settings.health->healthy_after;
    }
    health.outliers.consecutive_failures = settings.outliers.failures;
    health.outliers.failure_percent = settings.outliers.failure_percent;
    health.outliers.latency_factor = settings.outliers.first_token_percent / 100.0;
    health.outliers.max_ejected_percent = settings.outliers.max_ejected_percent;
    health.breaker.base = settings.outliers.ejection;
    health.breaker.cap = std::max(settings.outliers.ejection, settings.outliers.max_ejection);
    return limits;
}

Result<BackendRuntime> SnapshotBuilder::backend(const std::string& name,
                                                const config::Backend& settings) {
    BackendRuntime runtime;
    runtime.settings = &settings;
    auto tls = TlsClientContext::load(settings.tls);
    if (!tls) {
        auto error = std::move(tls.error());
        error.detail = "backend `" + name + "`: " + error.detail;
        return std::unexpected(std::move(error));
    }
    runtime.tls = std::move(*tls);
    if (settings.api_key) {
        runtime.authorization = "Bearer " + std::string(settings.api_key->reveal());
    }
    auto& learned = learned_[name];
    if (learned == nullptr) {
        learned = std::make_shared<BackendLearned>();
    }
    runtime.learned = learned;
    return runtime;
}

void SnapshotBuilder::add_model_bodies(Snapshot& snapshot) const {
    std::vector<openai::ModelEntry> entries;
    for (const auto& known : snapshot.catalog->models()) {
        openai::ModelEntry entry{
            known.id, known.model != nullptr ? known.model->owned_by : "millrace", created_};
        snapshot.model_bodies.emplace(known.id, openai::model_body(entry));
        if (known.model != nullptr) {
            for (const auto& alias : known.model->aliases) {
                auto named = entry;
                named.id = alias;
                snapshot.model_bodies.emplace(alias, openai::model_body(named));
            }
        }
        entries.push_back(std::move(entry));
    }
    snapshot.models_body = openai::models_list_body(entries);
}

Result<std::shared_ptr<const Snapshot>> SnapshotBuilder::build(
    const std::shared_ptr<const config::Loaded>& loaded) {
    const auto& config = loaded->config;
    auto authenticated = authenticator(config);
    if (!authenticated) {
        return std::unexpected(std::move(authenticated.error()));
    }
    std::shared_ptr<const TlsServerContext> tls;
    if (config.listeners.data.tls) {
        auto context = TlsServerContext::load(*config.listeners.data.tls);
        if (!context) {
            return std::unexpected(std::move(context.error()));
        }
        tls = std::move(*context);
    }
    // Files first: what follows leaves traces in the metrics.
    std::map<std::string, BackendRuntime> runtimes;
    for (const auto& [name, settings] : config.backends) {
        auto runtime = backend(name, settings);
        if (!runtime) {
            return std::unexpected(std::move(runtime.error()));
        }
        runtimes.emplace(name, std::move(*runtime));
    }
    Interner interner(registry_, kubernetes_namespace_);
    auto catalog = routing::Catalog::compile(loaded, routing_, interner);
    auto snapshot = std::make_shared<Snapshot>(Snapshot{loaded,
                                                        std::move(catalog),
                                                        std::move(*authenticated),
                                                        {},
                                                        TrustedProxies::parse(config.trust.proxies),
                                                        std::move(tls),
                                                        {},
                                                        {}});
    for (auto& [name, runtime] : runtimes) {
        const auto pool = routing_.pools.find(name);
        if (pool == nullptr) {
            continue;  // nothing routes to it
        }
        if (snapshot->backends.size() <= pool->id()) {
            snapshot->backends.resize(pool->id() + 1);
        }
        auto limits = limits_of(*runtime.settings);
        if (remembers_prompts(*snapshot->catalog, name)) {
            limits.prefix_blocks = runtime.settings->prefix_cache_tokens / routing::kTokensPerBlock;
        }
        pool->set_limits(limits);
        snapshot->backends[pool->id()] = std::move(runtime);
    }
    add_model_bodies(*snapshot);
    for (const auto id : std::exchange(live_variants_, interner.variants)) {
        if (!live_variants_.contains(id)) {
            registry_.retire(metrics::VariantId{id});
        }
    }
    for (const auto id : std::exchange(live_backends_, interner.backends)) {
        if (!live_backends_.contains(id)) {
            registry_.retire(metrics::BackendId{id});
        }
    }
    return snapshot;
}

}  // namespace millrace::gateway
