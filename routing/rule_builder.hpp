// RuleBuilder: what a rule of the catalog holds, from the model and the manifest that it comes
// from: variants with their pools, weights, policy, rollout, mirror, and the ids of its series.
// Which rules there are, and for which names, is routing/catalog_compiler's.
//
// Thread-safety: none; one per compilation. The configuration outlives the rules.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "config/load.hpp"
#include "routing/catalog.hpp"

namespace millrace::routing {

class RuleBuilder {
public:
    RuleBuilder(const config::Config& config, RoutingState& state, MetricInterner& metrics);

    /// The own variants of a configured model.
    Rule of_model(const KnownModel& known);
    /// A manifest's rule, joined with the model that it is asked for; null = none, or one that
    /// nobody knows.
    Rule of_route(const config::HttpRoute& route, const config::HttpRouteRule& manifest,
                  const KnownModel* known, std::shared_ptr<TicketCounter> tickets);

private:
    void take_policy(Rule& rule, const KnownModel& known) const;
    void take_rollout(Rule& rule);
    void complete(Rule& rule);
    Target mirror_of(const config::Mirror& settings);

    const config::Config& config_;
    RoutingState& state_;
    MetricInterner& metrics_;
    /// Of the models that an `auto` model may choose; only these are measured.
    std::map<std::string, std::shared_ptr<ModelMeasure>, std::less<>> measures_;
};

}  // namespace millrace::routing
