// Catalog::compile: names first, then the rules of `models` and what chooses among them, then the
// rules of routes joined with models.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "routing/catalog.hpp"
#include "routing/hedge.hpp"
#include "routing/rollout_settings.hpp"

namespace millrace::routing {

class CatalogCompiler {
public:
    CatalogCompiler(Catalog& catalog, RoutingState& state, MetricInterner& metrics)
        : catalog_(catalog), config_(catalog.loaded_->config), state_(state), metrics_(metrics) {}

    void compile() {
        catalog_.routes_ = HttpRouteTable(catalog_.loaded_->routes);
        collect_models();
        collect_names();
        collect_candidates();
        compile_models();
        compile_choosers();
        bind_routes();
        find_shortcuts();
        find_fallbacks();
    }

private:
    using Name = Catalog::Name;

    void collect_models() {
        std::set<std::string_view> taken;
        for (const auto& model : config_.models) {
            catalog_.models_.push_back({model.id, &model});
            taken.insert(model.id);
            taken.insert(model.aliases.begin(), model.aliases.end());
        }
        for (const auto name : catalog_.routes_.models()) {
            if (!taken.contains(name)) {
                catalog_.models_.push_back({std::string(name), nullptr});
            }
        }
        std::ranges::sort(catalog_.models_, {}, &KnownModel::id);
    }

    void collect_names() {
        const auto& routes = catalog_.routes_;
        for (std::uint32_t i = 0; i < catalog_.models_.size(); ++i) {
            const auto& known = catalog_.models_[i];
            const auto* by_id = routes.candidates(known.id);
            catalog_.names_.emplace(known.id, Name{.model = i, .by_name = by_id, .id = known.id});
            if (known.model != nullptr) {
                for (const auto& alias : known.model->aliases) {
                    catalog_.names_.emplace(alias, Name{.model = i,
                                                        .by_name = routes.candidates(alias),
                                                        .by_id = by_id,
                                                        .id = known.id});
                }
            }
        }
    }

    void compile_models() {
        for (const auto& known : catalog_.models_) {
            if (known.model == nullptr || known.model->variants.empty()) {
                continue;
            }
            Rule rule;
            rule.label = "models";
            take_policy(rule, known);
            for (const auto& variant : known.model->variants) {
                Target target;
                target.variant = variant.name;
                target.backend_name = variant.backend;
                target.weight = variant.weight;
                target.served_name = variant.served_name.empty() ? known.id : variant.served_name;
                rule.targets.push_back(std::move(target));
            }
            rule.tickets = state_.tickets.acquire("model " + known.id);
            rule.retries = std::make_shared<RetryBudget>();
            const auto own = add(std::move(rule));
            for_names(known, [own](Name& name) { name.own_rule = own; });
        }
    }

    template <class Set>
    void for_names(const KnownModel& known, const Set& set) {
        set(catalog_.names_.find(known.id)->second);
        for (const auto& alias : known.model->aliases) {
            set(catalog_.names_.find(alias)->second);
        }
    }

    static bool chooses(const KnownModel& known) {
        return known.model != nullptr && (!known.model->rules.empty() || known.model->automatic);
    }

    /// Only these are measured.
    void collect_candidates() {
        for (const auto& model : config_.models) {
            if (model.automatic) {
                for (const auto& candidate : model.automatic->candidates) {
                    measures_.emplace(candidate, state_.measures.acquire(candidate));
                }
            }
        }
    }

    /// The models with variants are compiled already.
    void compile_choosers() {
        for (const auto& known : catalog_.models_) {
            if (!chooses(known)) {
                continue;
            }
            auto chooser = make_chooser(
                config_, *known.model, [this](const std::string& id) { return pools_of(id); },
                state_.tickets, state_.measures);
            const auto index = static_cast<std::uint32_t>(catalog_.choosers_.size());
            catalog_.choosers_.push_back(std::move(chooser));
            for_names(known, [index](Name& name) { name.chooser = index; });
        }
    }

    /// Of the variants with a weight, each once.
    std::vector<std::shared_ptr<Pool>> pools_of(const std::string& id) {
        std::vector<std::shared_ptr<Pool>> pools;
        const auto name = catalog_.names_.find(id);
        if (name == catalog_.names_.end() || name->second.own_rule == Catalog::kNoRule) {
            return pools;
        }
        for (const auto& target : catalog_.rules_[name->second.own_rule].targets) {
            if (target.weight > 0 && target.pool != nullptr &&
                std::ranges::find(pools, target.pool) == pools.end()) {
                pools.push_back(target.pool);
            }
        }
        return pools;
    }

    /// One rule per (route rule, model it can be asked for); rules without an exact x-model-id can
    /// be asked for all, and for names nobody knows. The named ones come first, because series are
    /// scarce and they are the busy ones.
    void bind_routes() {
        const auto sources = list_sources();
        catalog_.bindings_.resize(sources.size());
        std::vector<std::set<std::uint32_t>> named(sources.size());
        std::vector<bool> general(sources.size());
        for (const auto& entry : catalog_.routes_.entries()) {
            if (entry.model) {
                named[entry.rule_id].insert(catalog_.names_.find(*entry.model)->second.model);
            } else {
                general[entry.rule_id] = true;
            }
        }
        for (std::size_t id = 0; id < sources.size(); ++id) {
            for (const auto model : named[id]) {
                if (!chooses(catalog_.models_[model])) {
                    bind(sources[id], id, model);
                }
            }
        }
        for (std::size_t id = 0; id < sources.size(); ++id) {
            if (general[id]) {
                bind_the_rest(sources[id], id, named[id]);
            }
            std::ranges::sort(catalog_.bindings_[id]);
        }
    }

    struct Source {
        const config::HttpRoute* route = nullptr;
        const config::HttpRouteRule* rule = nullptr;
        std::shared_ptr<TicketCounter> tickets;
    };

    /// By rule id.
    std::vector<Source> list_sources() {
        std::vector<Source> sources;
        for (const auto& route : catalog_.loaded_->routes) {
            const auto key = "route " + route.namespace_name + "/" + route.name + " ";
            for (std::size_t r = 0; r < route.rules.size(); ++r) {
                sources.push_back(
                    {&route, &route.rules[r], state_.tickets.acquire(key + std::to_string(r))});
            }
        }
        return sources;
    }

    void bind_the_rest(const Source& source, std::size_t id, const std::set<std::uint32_t>& done) {
        bind(source, id, Catalog::kNoModel);
        for (std::uint32_t model = 0; model < catalog_.models_.size(); ++model) {
            if (!done.contains(model) && !chooses(catalog_.models_[model])) {
                bind(source, id, model);
            }
        }
    }

    void bind(const Source& source, std::size_t id, std::uint32_t model) {
        auto rule = joined(*source.route, *source.rule, model);
        rule.tickets = source.tickets;
        rule.retries = std::make_shared<RetryBudget>();
        catalog_.bindings_[id].emplace_back(model, add(std::move(rule)));
    }

    Rule joined(const config::HttpRoute& route, const config::HttpRouteRule& manifest,
                std::uint32_t model) {
        Rule rule;
        rule.label = route.namespace_name + "/" + route.name;
        rule.manifest = &manifest;
        rule.replaces_prefix = manifest.rewrite && manifest.rewrite->replace_prefix_match &&
                               !manifest.rewrite->replace_full_path;
        rule.request_timeout = manifest.request_timeout;
        rule.backend_request_timeout = manifest.backend_request_timeout;
        if (model != Catalog::kNoModel) {
            take_policy(rule, catalog_.models_[model]);
        }
        for (const auto& ref : manifest.backends) {
            Target target;
            target.variant = ref.name;
            target.backend_name = ref.name;
            target.weight = ref.weight;
            target.served_name = rule.model_id;
            take_variant(rule, target);
            rule.targets.push_back(std::move(target));
        }
        return rule;
    }

    void take_policy(Rule& rule, const KnownModel& known) {
        rule.model_id = known.id;
        rule.model = known.model;
        if (const auto measure = measures_.find(known.id); measure != measures_.end()) {
            rule.measure = measure->second;
        }
        if (known.model != nullptr) {
            rule.sticky = known.model->sticky;
            rule.unready = known.model->unready;
            rule.policy = policy_of(known.model->picker);
        }
    }

    static std::optional<Policy> policy_of(const config::Picker& picker) {
        if (picker.by.empty()) {
            return std::nullopt;
        }
        Policy policy;
        policy.guard = picker.guard_percent / 100.0;
        for (const auto affinity : picker.by) {
            switch (affinity) {
                case config::Affinity::adapter:
                    policy.stages.push_back(Stage::lora_affinity);
                    break;
                case config::Affinity::session:
                    policy.stages.push_back(Stage::session_affinity);
                    break;
                case config::Affinity::prefix:
                    policy.stages.push_back(Stage::prefix_affinity);
                    break;
                case config::Affinity::load: policy.stages.push_back(Stage::load_aware); break;
            }
        }
        return policy;
    }

    /// A manifest cannot say what a backend calls the model; a variant of the model on the same
    /// backend can.
    static void take_variant(const Rule& rule, Target& target) {
        if (rule.model == nullptr) {
            return;
        }
        const auto& variants = rule.model->variants;
        const auto found =
            std::ranges::find(variants, target.backend_name, &config::Variant::backend);
        if (found != variants.end()) {
            target.variant = found->name;
            if (!found->served_name.empty()) {
                target.served_name = found->served_name;
            }
        }
    }

    /// A rule between just the two variants of the model's rollout leaves the shares to it.
    void take_rollout(Rule& rule) {
        if (rule.model == nullptr || !rule.model->rollout || rule.targets.size() != 2) {
            return;
        }
        const auto names = rollout_names(*rule.model);
        auto& first = rule.targets[0];
        auto& second = rule.targets[1];
        if (first.variant == names.canary) {
            std::swap(first, second);
        }
        if (first.variant == names.stable && second.variant == names.canary) {
            rule.rollout = state_.rollouts.acquire(names, rule.model->rollout->steps.front());
        }
    }

    std::uint32_t add(Rule rule) {
        take_rollout(rule);
        std::vector<Share> shares;
        for (auto& target : rule.targets) {
            const auto backend = config_.backends.find(target.backend_name);
            if (backend != config_.backends.end()) {
                target.backend = &backend->second;
                target.pool = state_.pools.acquire(target.backend_name);
            }
            target.backend_metric = metrics_.backend(target.backend_name);
            target.variant_metric = metrics_.variant(labels(rule, target));
            shares.push_back({target.variant, target.weight});
        }
        rule.weights = WeightTable(shares);
        if (rule.model != nullptr && rule.model->hedge) {
            rule.hedging = std::make_shared<Hedging>();
        }
        if (rule.model != nullptr && rule.model->mirror) {
            rule.mirror = mirror_of(*rule.model->mirror);
        }
        catalog_.rules_.push_back(std::move(rule));
        return static_cast<std::uint32_t>(catalog_.rules_.size() - 1);
    }

    Target mirror_of(const config::Mirror& settings) {
        Target mirror;
        mirror.variant = "mirror";
        mirror.backend_name = settings.backend;
        mirror.served_name = settings.served_name;
        mirror.weight = settings.percent;
        const auto backend = config_.backends.find(settings.backend);
        if (backend != config_.backends.end()) {
            mirror.backend = &backend->second;
            mirror.pool = state_.pools.acquire(settings.backend);
        }
        mirror.backend_metric = metrics_.backend(settings.backend);
        return mirror;
    }

    static VariantLabels labels(const Rule& rule, const Target& target) {
        VariantLabels labels;
        labels.model = rule.model_id.empty() ? kUnknownModel : std::string_view(rule.model_id);
        labels.variant = target.variant;
        labels.backend = target.backend_name;
        labels.route = rule.label;
        if (target.backend != nullptr) {
            labels.kubernetes_namespace = target.backend->kubernetes_namespace;
        }
        if (rule.model != nullptr) {
            labels.workload_class = rule.model->workload_class;
        }
        return labels;
    }

    void find_shortcuts() {
        for (auto& [text, name] : catalog_.names_) {
            if (name.chooser != Catalog::kNoChooser) {
                continue;  // looked up by the model that it chooses
            }
            for (const auto* list : {name.by_name, name.by_id}) {
                if (list != nullptr && list->front() < name.first_entry) {
                    name.first_entry = list->front();
                }
            }
            if (name.first_entry != Catalog::kNoEntry) {
                const auto& entry = catalog_.routes_.entries()[name.first_entry];
                const auto* rule = catalog_.bound_rule(entry.rule_id, name.model);
                name.first_rule = static_cast<std::uint32_t>(rule - catalog_.rules_.data());
            }
        }
    }

    /// Last, because from here on rules do not move.
    void find_fallbacks() {
        for (auto& rule : catalog_.rules_) {
            if (rule.model == nullptr) {
                continue;
            }
            for (const auto& wanted : rule.model->fallback) {
                const auto* name = catalog_.find_name(wanted.model);
                if (name == nullptr || name->own_rule == Catalog::kNoRule) {
                    continue;  // the configuration was not validated
                }
                const auto& own = catalog_.rules_[name->own_rule];
                const auto only = std::ranges::find(own.targets, wanted.variant, &Target::variant);
                rule.fallbacks.push_back({&own, only == own.targets.end() ? nullptr : &*only});
            }
        }
    }

    Catalog& catalog_;
    const config::Config& config_;
    RoutingState& state_;
    MetricInterner& metrics_;
    std::map<std::string, std::shared_ptr<ModelMeasure>, std::less<>> measures_;
};

std::shared_ptr<const Catalog> Catalog::compile(std::shared_ptr<const config::Loaded> loaded,
                                                RoutingState& state, MetricInterner& metrics) {
    const std::shared_ptr<Catalog> catalog(new Catalog);
    catalog->loaded_ = std::move(loaded);
    CatalogCompiler(*catalog, state, metrics).compile();
    return catalog;
}

}  // namespace millrace::routing
