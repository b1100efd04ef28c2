// SnapshotBuilder: turns a loaded configuration into what the data path uses: catalog, keys, TLS,
// backends.
//
// Holds what survives reloads (routing state, what was learned of backends). A configuration whose
// files cannot be used fails whole, naming the file; nothing of it takes effect. Thread-safety:
// none; control thread.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>

#include "config/base/clock.hpp"
#include "config/base/error.hpp"
#include "config/load.hpp"
#include "gateway/pipeline/snapshot.hpp"
#include "metrics/registry.hpp"
#include "routing/catalog.hpp"

namespace millrace::gateway {

class SnapshotBuilder {
public:
    /// `kubernetes_namespace`: label for backends that name none. All arguments outlive the
    /// builder.
    SnapshotBuilder(routing::RoutingState& routing, metrics::Registry& registry, const Clock& clock,
                    std::string kubernetes_namespace);

    Result<std::shared_ptr<const Snapshot>> build(
        const std::shared_ptr<const config::Loaded>& loaded);

private:
    class Interner;

    Result<Authenticator> authenticator(const config::Config& config);
    std::shared_ptr<const TenantSources> tenant_sources(const config::Config& config);
    Result<BackendRuntime> backend(const std::string& name, const config::Backend& settings);
    static routing::PoolLimits limits_of(const config::Backend& settings);
    void add_model_bodies(Snapshot& snapshot) const;

    routing::RoutingState& routing_;
    metrics::Registry& registry_;
    const Clock& clock_;
    std::string kubernetes_namespace_;
    std::int64_t created_;  // shown by the model lists
    std::map<std::string, std::shared_ptr<BackendLearned>> learned_;
    std::set<std::uint32_t> live_variants_;
    std::set<std::uint32_t> live_backends_;
};

}  // namespace millrace::gateway
