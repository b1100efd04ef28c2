// Catalog::compile: names first, then the rules of `models` and what chooses among them, then the
// rules of routes joined with models. What a rule holds is routing/rule_builder's.
#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "routing/catalog.hpp"
#include "routing/rule_builder.hpp"

namespace millrace::routing {

class CatalogCompiler {
public:
    CatalogCompiler(Catalog& catalog, RoutingState& state, MetricInterner& metrics)
        : catalog_(catalog),
          config_(catalog.loaded_->config),
          state_(state),
          builder_(config_, state, metrics) {}

    void compile() {
        catalog_.routes_ = HttpRouteTable(catalog_.loaded_->routes);
        collect_models();
        collect_names();
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
            if (known.model != nullptr && !known.model->variants.empty()) {
                const auto own = add(builder_.of_model(known));
                for_names(known, [own](Name& name) { name.own_rule = own; });
            }
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
        const auto* known = model == Catalog::kNoModel ? nullptr : &catalog_.models_[model];
        auto rule = builder_.of_route(*source.route, *source.rule, known, source.tickets);
        catalog_.bindings_[id].emplace_back(model, add(std::move(rule)));
    }

    std::uint32_t add(Rule rule) {
        catalog_.rules_.push_back(std::move(rule));
        return static_cast<std::uint32_t>(catalog_.rules_.size() - 1);
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
    RuleBuilder builder_;
};

std::shared_ptr<const Catalog> Catalog::compile(std::shared_ptr<const config::Loaded> loaded,
                                                RoutingState& state, MetricInterner& metrics) {
    const std::shared_ptr<Catalog> catalog(new Catalog);
    catalog->loaded_ = std::move(loaded);
    CatalogCompiler(*catalog, state, metrics).compile();
    return catalog;
}

}  // namespace millrace::routing
