#include "routing/rule_builder.hpp"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "routing/hedge.hpp"
#include "routing/rollout_settings.hpp"

namespace millrace::routing {
namespace {

std::optional<Policy> policy_of(const config::Picker& picker) {
    if (picker.by.empty()) {
        return std::nullopt;
    }
    Policy policy;
    policy.guard = picker.guard_percent / 100.0;
    for (const auto affinity : picker.by) {
        switch (affinity) {
            case config::Affinity::adapter: policy.stages.push_back(Stage::lora_affinity); break;
            case config::Affinity::session: policy.stages.push_back(Stage::session_affinity); break;
            case config::Affinity::prefix: policy.stages.push_back(Stage::prefix_affinity); break;
            case config::Affinity::load: policy.stages.push_back(Stage::load_aware); break;
        }
    }
    return policy;
}

/// A manifest cannot say what a backend calls the model; a variant of the model on the same
/// backend can.
void take_variant(const Rule& rule, Target& target) {
    if (rule.model == nullptr) {
        return;
    }
    const auto& variants = rule.model->variants;
    const auto found = std::ranges::find(variants, target.backend_name, &config::Variant::backend);
    if (found != variants.end()) {
        target.variant = found->name;
        if (!found->served_name.empty()) {
            target.served_name = found->served_name;
        }
    }
}

VariantLabels labels_of(const Rule& rule, const Target& target) {
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

}  // namespace

RuleBuilder::RuleBuilder(const config::Config& config, RoutingState& state, MetricInterner& metrics)
    : config_(config), state_(state), metrics_(metrics) {
    for (const auto& model : config_.models) {
        if (model.automatic) {
            for (const auto& candidate : model.automatic->candidates) {
                measures_.emplace(candidate, state_.measures.acquire(candidate));
            }
        }
    }
}

Rule RuleBuilder::of_model(const KnownModel& known) {
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
    complete(rule);
    return rule;
}

Rule RuleBuilder::of_route(const config::HttpRoute& route, const config::HttpRouteRule& manifest,
                           const KnownModel* known, std::shared_ptr<TicketCounter> tickets) {
    Rule rule;
    rule.label = route.namespace_name + "/" + route.name;
    rule.manifest = &manifest;
    rule.replaces_prefix = manifest.rewrite && manifest.rewrite->replace_prefix_match &&
                           !manifest.rewrite->replace_full_path;
    rule.request_timeout = manifest.request_timeout;
    rule.backend_request_timeout = manifest.backend_request_timeout;
    if (known != nullptr) {
        take_policy(rule, *known);
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
    rule.tickets = std::move(tickets);
    complete(rule);
    return rule;
}

void RuleBuilder::take_policy(Rule& rule, const KnownModel& known) const {
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

/// A rule between just the two variants of the model's rollout leaves the shares to it.
void RuleBuilder::take_rollout(Rule& rule) {
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

/// Once its targets are named: what they stand for, and what follows from the model.
void RuleBuilder::complete(Rule& rule) {
    take_rollout(rule);
    std::vector<Share> shares;
    shares.reserve(rule.targets.size());
    for (auto& target : rule.targets) {
        const auto backend = config_.backends.find(target.backend_name);
        if (backend != config_.backends.end()) {
            target.backend = &backend->second;
            target.pool = state_.pools.acquire(target.backend_name);
        }
        target.backend_metric = metrics_.backend(target.backend_name);
        target.variant_metric = metrics_.variant(labels_of(rule, target));
        shares.push_back({target.variant, target.weight});
    }
    rule.weights = WeightTable(shares);
    rule.retries = std::make_shared<RetryBudget>();
    if (rule.model != nullptr && rule.model->hedge) {
        rule.hedging = state_.hedgings.acquire(rule.model->id);
    }
    if (rule.model != nullptr && rule.model->mirror) {
        rule.mirror = mirror_of(*rule.model->mirror);
    }
}

Target RuleBuilder::mirror_of(const config::Mirror& settings) {
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

}  // namespace millrace::routing
