// Catalog: what a name or path means, compiled once per configuration into an immutable snapshot.
//
// Loaded HTTPRoutes are tried first by the Gateway API's precedence, with the request's model
// counting as its x-model-id; then `models`. They join by model id: the route gives backends and
// weights, the model gives policy (and the served_name of a variant with the same backend). An
// alias counts as its own name and as its model's id. A name is known when it is a model, an alias
// or an exact x-model-id of a route; a route that wants no model may still take an unknown name,
// because the operator said so. A name may also stand for a model that chooses another one
// (routing/model_chooser); then the chosen model is looked up as if the request had named it,
// routes included. Rules are compiled per (route rule, model), so that metric ids are resolved at
// publish and never on the data path. Thread-safety: immutable after compile(); shared as
// shared_ptr<const Catalog>. Views in results live as long as it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/error.hpp"
#include "config/load.hpp"
#include "routing/canary.hpp"
#include "routing/candidate.hpp"
#include "routing/endpoints.hpp"
#include "routing/facts.hpp"
#include "routing/hedge.hpp"
#include "routing/httproute.hpp"
#include "routing/model_chooser.hpp"
#include "routing/retry.hpp"
#include "routing/rollout_traffic.hpp"
#include "routing/trace.hpp"

namespace millrace::routing {

/// Label of series whose model the configuration does not know.
inline constexpr std::string_view kUnknownModel = "unknown";

/// What identifies a variant's series.
struct VariantLabels {
    std::string_view model;  ///< id or kUnknownModel
    std::string_view variant;
    std::string_view backend;
    std::string_view route;                 ///< Rule::label
    std::string_view kubernetes_namespace;  ///< of the backend; empty = our own
    config::WorkloadClass workload_class = config::WorkloadClass::interactive;
};

/// Port: turns labels into series ids that are never reused. Called only while a catalog is
/// compiled.
class MetricInterner {
public:
    MetricInterner() = default;
    MetricInterner(const MetricInterner&) = delete;
    MetricInterner& operator=(const MetricInterner&) = delete;
    virtual ~MetricInterner() = default;
    virtual std::uint32_t variant(const VariantLabels& labels) = 0;
    virtual std::uint32_t backend(std::string_view name) = 0;
};

/// What survives reloads. One per process.
struct RoutingState {
    PoolDirectory pools;
    TicketDirectory tickets;
    RolloutDirectory rollouts;
    ModelMeasures measures;
    HedgingDirectory hedgings;
};

/// One variant of a rule.
struct Target {
    std::shared_ptr<Pool> pool;                ///< null = the backendRef names nothing we know
    const config::Backend* backend = nullptr;  ///< null iff pool is
    std::string served_name;                   ///< empty = the request's effective model id
    std::uint32_t variant_metric = 0;
    std::uint32_t backend_metric = 0;
    std::uint32_t weight = 1;
    std::string variant;
    std::string backend_name;
};

struct Rule;

/// Where requests go that a rule could not have answered.
struct FallbackTarget {
    const Rule* rule = nullptr;    ///< a model's own variants
    const Target* only = nullptr;  ///< of the rule; null = drawn by its weights
};

/// Where requests that matched go: a model's own variants, or a route's rule joined with one model.
struct Rule {
    std::vector<Target> targets;
    std::shared_ptr<TicketCounter> tickets;  ///< one per route rule or model
    WeightTable weights;                     ///< one entry per target
    /// Decides the shares instead of `weights`, if set; then the targets are those of RolloutArm.
    std::shared_ptr<RolloutTraffic> rollout;
    std::shared_ptr<RetryBudget> retries;   ///< retries in flight
    std::shared_ptr<ModelMeasure> measure;  ///< null unless an `auto` model may choose the model
    std::vector<FallbackTarget> fallbacks;  ///< of the model, in order
    std::shared_ptr<Hedging> hedging;       ///< null = no second attempts
    /// Gets copies of `weight` percent of the requests; its pool is null when there are none. An
    /// empty served_name is that of the original.
    Target mirror;
    config::Sticky sticky;
    config::Unready unready = config::Unready::redraw;
    std::optional<Policy> policy;  ///< how an endpoint is chosen; empty = the less busy of two
    bool replaces_prefix = false;  ///< the manifest rewrites the matched path prefix
    const config::HttpRouteRule* manifest = nullptr;  ///< null = from `models`
    const config::Model* model = nullptr;
    std::string model_id;                 ///< empty = none or not known
    std::string label;                    ///< `namespace/name` of the HTTPRoute, or `models`
    Duration request_timeout{0};          ///< 0 = off
    Duration backend_request_timeout{0};  ///< 0 = off
};

struct Resolution {
    const Rule* rule = nullptr;
    const CompiledMatch* match = nullptr;  ///< null = by `models`
    std::string_view model_id;  ///< effective id; views the catalog, or the facts for an unknown
                                ///< name; empty = none
};

/// A model that clients may ask for.
struct KnownModel {
    std::string id;
    const config::Model* model = nullptr;  ///< null = known by routes only
};

class Catalog {
    static constexpr std::uint32_t kNoModel = 0xffff'ffff;
    static constexpr std::uint32_t kNoRule = 0xffff'ffff;
    static constexpr std::uint32_t kNoEntry = 0xffff'ffff;
    static constexpr std::uint32_t kNoChooser = 0xffff'ffff;

    /// A name clients may use.
    struct Name {
        std::uint32_t model = 0;                              // index into models_
        const HttpRouteTable::Candidates* by_name = nullptr;  // routes wanting this very name
        const HttpRouteTable::Candidates* by_id = nullptr;    // routes wanting the id, if different
        std::string_view id;                                  // of the model
        std::uint32_t own_rule = kNoRule;                     // the model's variants
        std::uint32_t chooser = kNoChooser;                   // index into choosers_
        // The best of both lists and its rule, so that the usual request touches neither list.
        std::uint32_t first_entry = kNoEntry;
        std::uint32_t first_rule = kNoRule;
    };

public:
    static std::shared_ptr<const Catalog> compile(std::shared_ptr<const config::Loaded> loaded,
                                                  RoutingState& state, MetricInterner& metrics);

    /// The name that counts, after header, body and conflict rules.
    struct Asked {
        std::string_view given;      ///< empty = none
        const Name* name = nullptr;  ///< null = not known
    };

    /// Error: model_mismatch.
    Result<Asked> asked(const RequestFacts& facts, Trace* trace = nullptr) const;
    /// What chooses the model instead of the one that was asked for; null = nothing does.
    const ModelChooser* chooser_of(const Asked& asked) const;
    /// The same for a request; null when its names contradict each other, too. Cheap when no model
    /// chooses another.
    const ModelChooser* chooser_of(const RequestFacts& facts) const;
    /// As if `model` had been asked for.
    Asked as_asked(std::string_view model) const { return {model, find_name(model)}; }

    /// Errors: model_missing, model_not_found, path_not_found; for a model that chooses another one
    /// the last.
    Result<Resolution> find(const RequestFacts& facts, const Asked& asked,
                            Trace* trace = nullptr) const;
    /// Both steps for a model that is not chosen.
    Result<Resolution> find(const RequestFacts& facts, Trace* trace = nullptr) const;

    /// Is this a model, an alias or an exact x-model-id of a route?
    bool knows(std::string_view name) const { return names_.contains(name); }
    /// Ids that requests may name, sorted; aliases are not among them.
    std::span<const KnownModel> models() const { return models_; }
    std::span<const Rule> rules() const { return rules_; }
    const HttpRouteTable& routes() const { return routes_; }
    const config::Loaded& loaded() const { return *loaded_; }

private:
    friend class CatalogCompiler;

    Catalog() = default;
    const Name* find_name(std::string_view name) const;
    const Rule* bound_rule(std::uint32_t rule_id, std::uint32_t model) const;
    Resolution first_match(const RequestFacts& facts, const Name* name) const;
    Resolution matched(const RequestFacts& facts, const Name* name, std::string_view id,
                       Trace* trace) const;
    Error not_found(const RequestFacts& facts, const Asked& asked) const;

    std::shared_ptr<const config::Loaded> loaded_;
    HttpRouteTable routes_;
    NameMap<Name> names_;
    std::vector<KnownModel> models_;
    /// Index into rules_ by model index, one map per rule of the manifests.
    std::vector<std::vector<std::pair<std::uint32_t, std::uint32_t>>> bindings_;
    std::vector<Rule> rules_;
    std::vector<ModelChooser> choosers_;
};

}  // namespace millrace::routing
