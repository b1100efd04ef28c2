// Snapshot: everything that one configuration means to the data path, compiled once and immutable.
// A request keeps the snapshot it began with; a reload publishes another.
//
// Thread-safety: immutable; shared as shared_ptr<const Snapshot>.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "config/load.hpp"
#include "gateway/identity/authenticator.hpp"
#include "gateway/pipeline/trusted_proxies.hpp"
#include "gateway/tls/context.hpp"
#include "gateway/upstream/backend.hpp"
#include "routing/catalog.hpp"

namespace millrace::gateway {

struct Snapshot {
    std::shared_ptr<const config::Loaded> loaded;
    std::shared_ptr<const routing::Catalog> catalog;
    Authenticator authenticator;
    std::vector<BackendRuntime> backends;  ///< by routing::Pool::id()
    TrustedProxies trusted_proxies;
    std::shared_ptr<const TlsServerContext> tls;  ///< of the data listener; null = plain
    std::string models_body;                      ///< of GET /v1/models
    std::unordered_map<std::string, std::string> model_bodies;  ///< of GET /v1/models/{id}

    const config::Config& config() const { return loaded->config; }
    const BackendRuntime& backend_of(const routing::Target& target) const {
        return backends[target.pool->id()];
    }
};

}  // namespace millrace::gateway
