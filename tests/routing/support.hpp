// What routing tests share: configurations built in a line or two, an interner that remembers, and
// a worker's view.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/load.hpp"
#include "routing/catalog.hpp"
#include "routing/decision.hpp"

namespace millrace::routing::testing {

/// Ids in order of first appearance; labels as text.
class FakeInterner final : public MetricInterner {
public:
    std::uint32_t variant(const VariantLabels& labels) override {
        return intern(variants, std::string(labels.model) + "|" + std::string(labels.variant) +
                                    "|" + std::string(labels.backend) + "|" +
                                    std::string(labels.route) + "|" +
                                    std::string(labels.kubernetes_namespace));
    }
    std::uint32_t backend(std::string_view name) override {
        return intern(backends, std::string(name));
    }

    std::map<std::string, std::uint32_t> variants;
    std::map<std::string, std::uint32_t> backends;

private:
    static std::uint32_t intern(std::map<std::string, std::uint32_t>& ids, const std::string& key) {
        const auto next = static_cast<std::uint32_t>(ids.size() + 1);
        return ids.emplace(key, next).first->second;
    }
};

inline config::NameValueMatch model_header(std::string value) {
    return {std::string(kModelHeader), std::move(value)};
}

inline config::HttpRouteMatch prefix(std::string path,
                                     std::vector<config::NameValueMatch> headers = {}) {
    config::HttpRouteMatch match;
    match.path = std::move(path);
    match.headers = std::move(headers);
    return match;
}

inline config::HttpRouteMatch exact(std::string path,
                                    std::vector<config::NameValueMatch> headers = {}) {
    auto match = prefix(std::move(path), std::move(headers));
    match.path_type = config::PathMatchType::exact;
    return match;
}

inline config::HttpRouteRule rule(std::vector<config::HttpRouteMatch> matches,
                                  std::vector<config::BackendRef> backends) {
    config::HttpRouteRule out;
    out.matches = std::move(matches);
    out.backends = std::move(backends);
    return out;
}

inline config::HttpRoute route(std::string name, std::vector<config::HttpRouteRule> rules) {
    config::HttpRoute out;
    out.name = std::move(name);
    out.rules = std::move(rules);
    return out;
}

inline config::Variant variant(std::string name, std::uint32_t weight, std::string backend,
                               std::string served_name = "") {
    config::Variant out;
    out.name = std::move(name);
    out.weight = weight;
    out.backend = std::move(backend);
    out.served_name = std::move(served_name);
    return out;
}

inline config::Model model(std::string id, std::vector<config::Variant> variants,
                           std::vector<std::string> aliases = {}) {
    config::Model out;
    out.id = std::move(id);
    out.variants = std::move(variants);
    out.aliases = std::move(aliases);
    return out;
}

/// One worker with a configuration: compile, then ask.
class World {
public:
    config::Config config;
    std::vector<config::HttpRoute> routes;
    // Behind pointers, so that a function can build a World and return it.
    std::unique_ptr<RoutingState> state = std::make_unique<RoutingState>();
    std::unique_ptr<FakeInterner> metrics = std::make_unique<FakeInterner>();
    EndpointView view;
    Random random{7};
    std::shared_ptr<const Catalog> catalog;

    void backend(const std::string& name) { config.backends[name]; }

    /// Publishes config and routes; every backend gets one endpoint.
    void publish() {
        auto loaded = std::make_shared<config::Loaded>();
        loaded->config = config;
        loaded->routes = routes;
        catalog = Catalog::compile(std::move(loaded), *state, *metrics);
        for (const auto& pool : state->pools.all()) {
            pool->update({{"10.0.0." + std::to_string(pool->id() + 1), 8000, false, ""}});
        }
    }

    Result<Decision> ask(const RequestFacts& facts, Trace* trace = nullptr) {
        return decide(facts, *catalog, view, random, trace);
    }
};

inline RequestFacts chat(std::string_view header_model, std::string_view body_model = {}) {
    RequestFacts facts;
    facts.method = "POST";
    facts.path = "/v1/chat/completions";
    facts.host = "gateway.example";
    facts.header_model = header_model;
    facts.json_body = true;
    if (!body_model.empty()) {
        facts.body_model = body_model;
    }
    return facts;
}

inline RequestFacts get(std::string_view path) {
    RequestFacts facts;
    facts.method = "GET";
    facts.path = path;
    facts.host = "gateway.example";
    facts.api_path = false;
    return facts;
}

/// Backend that a decision chose, or the error's name.
inline std::string outcome(const Result<Decision>& decision) {
    return decision ? decision->target->backend_name
                    : std::string(to_string(decision.error().code));
}

}  // namespace millrace::routing::testing
