#include "gateway/pipeline/resolve.hpp"

#include <string>
#include <utility>

#include "gateway/openai/rule_facts.hpp"

namespace millrace::gateway {
namespace {

/// The stored response that the request is about, if it is about one.
std::string_view stored_response(const Request& request) {
    if (request.surface == nullptr) {
        return {};
    }
    if (request.surface->by_response_id) {
        return request.id;
    }
    if (request.surface->api == openai::Api::responses && request.fields &&
        request.fields->previous_response_id) {
        return *request.fields->previous_response_id;
    }
    return {};
}

/// Who may use a stored response: the key, else the tenant; behind a proxy that speaks for many,
/// the tenant.
std::string_view owner_of(const RequestScope& scope) {
    const auto& who = scope.principal;
    return who.key_id.empty() || who.is_named_by_proxy ? who.tenant : who.key_id;
}

/// What the rules of `chooser` may ask about.
const routing::RuleFacts& rule_facts(const RequestScope& scope, const Request& request,
                                     const routing::ModelChooser& chooser,
                                     openai::RuleInputs& inputs) {
    if (request.fields) {
        inputs.read_json(*request.fields, request.body, chooser.rules);
    } else {
        inputs.read_other(request.body);
    }
    float tokens_per_byte = BackendLearned::kUsualTokensPerByte;
    if (chooser.usual_pool != nullptr) {
        const auto& backend = scope.snapshot().backends[chooser.usual_pool->id()];
        tokens_per_byte = backend.learned->tokens_per_byte.load(std::memory_order_relaxed);
    }
    const auto& tenants = scope.config().tenants;
    const auto tenant = tenants.find(std::string(scope.principal.tenant));
    return inputs.facts(tokens_per_byte,
                        tenant == tenants.end() ? std::string_view() : tenant->second.tier);
}

std::unexpected<Error> response_not_found(std::string_view id) {
    return failure(Errc::response_not_found, Origin::downstream,
                   "Response `" + std::string(id) +
                       "` is not known here: it was never stored, has expired, or belongs to "
                       "another key.");
}

/// A variant of the rule whose pool has the endpoint.
bool pin(RequestScope& scope, Resolved& resolved, const routing::Rule& rule,
         std::string_view endpoint_url) {
    for (const auto& target : rule.targets) {
        if (target.pool == nullptr) {
            continue;
        }
        for (const auto& endpoint : scope.services.endpoints.of(*target.pool).endpoints) {
            if (endpoint->url == endpoint_url) {
                resolved.decision.target = &target;
                resolved.decision.served_name =
                    target.served_name.empty() ? resolved.decision.model_id : target.served_name;
                resolved.pinned = endpoint;
                return true;
            }
        }
    }
    return false;
}

Result<Resolved> resolve_stored(RequestScope& scope, const Request& request, std::string_view id) {
    const auto owner =
        scope.services.response_ids.find(id, owner_of(scope), scope.services.loop.now());
    if (!owner) {
        return response_not_found(id);
    }
    auto facts = facts_of(scope, request);
    const auto& catalog = *scope.snapshot().catalog;
    if (request.surface->by_response_id) {
        facts.header_model = owner->model;
    } else if (catalog.chooser_of(facts) != nullptr) {
        // What was chosen for the stored response holds for what continues it.
        facts.header_model = owner->model;
        facts.body_model.reset();
    }
    const auto found = catalog.find(facts);
    if (!found) {
        return std::unexpected(found.error());
    }
    Resolved resolved;
    resolved.decision.model_id = found->rule->model_id;
    resolved.decision.rule = found->rule;
    resolved.decision.match = found->match;
    resolved.matched = found->rule;
    if (!pin(scope, resolved, *found->rule, owner->endpoint)) {
        return response_not_found(id);
    }
    scope.admit(resolved.decision);
    return resolved;
}

/// For a request whose model does not let it wait and has no ready endpoint.
Result<Resolved> resolve_unready(RequestScope& scope, const routing::RequestFacts& facts,
                                 Error error) {
    auto& services = scope.services;
    const auto found = scope.snapshot().catalog->find(facts);
    if (!found || found->rule->targets.empty()) {
        return std::unexpected(std::move(error));
    }
    const auto& rule = *found->rule;
    Resolved resolved;
    resolved.matched = &rule;
    resolved.fallbacks = routing::FallbackPlan(rule);
    const auto next = resolved.fallbacks.next(facts, services.endpoints, services.loop.random());
    if (!next) {
        return std::unexpected(std::move(error));
    }
    // No variant took it; the first one stands for them all.
    const auto& first = rule.targets.front();
    scope.admit({found->model_id, first.served_name, &rule, &first, found->match, {}});
    scope.fall_back(*next, metrics::FallbackReason::unready);
    resolved.decision = *next;
    return resolved;
}

}  // namespace

Result<Resolved> resolve(RequestScope& scope, const Request& request) {
    if (const auto id = stored_response(request); !id.empty()) {
        return resolve_stored(scope, request, id);
    }
    const auto& catalog = *scope.snapshot().catalog;
    auto facts = facts_of(scope, request);
    openai::RuleInputs inputs;
    if (const auto* chooser = catalog.chooser_of(facts); chooser != nullptr) {
        facts.rules = &rule_facts(scope, request, *chooser, inputs);
    }
    auto decision =
        routing::decide(facts, catalog, scope.services.endpoints, scope.services.loop.random());
    if (!decision && decision.error().code == Errc::no_ready_endpoint) {
        return resolve_unready(scope, facts, std::move(decision.error()));
    }
    if (!decision) {
        return std::unexpected(std::move(decision.error()));
    }
    scope.admit(*decision);
    return Resolved{*decision, nullptr, decision->rule, routing::FallbackPlan(*decision->rule)};
}

Result<std::optional<std::string_view>> local_answer(const RequestScope& scope,
                                                     const Request& request) {
    if (request.surface == nullptr || !request.surface->is_local) {
        return std::nullopt;
    }
    const auto& snapshot = scope.snapshot();
    if (request.surface->api == openai::Api::models_list) {
        return snapshot.models_body;
    }
    if (const auto found = snapshot.model_bodies.find(request.id);
        found != snapshot.model_bodies.end()) {
        return found->second;
    }
    return failure(
        Errc::model_not_found, Origin::downstream,
        "The model `" + request.id + "` does not exist here; GET /v1/models lists those that do.");
}

void remember_response(RequestScope& scope, std::string_view response_id, std::string_view model,
                       std::string_view endpoint_url) {
    scope.services.response_ids.remember(
        response_id, {std::string(model), std::string(endpoint_url), std::string(owner_of(scope))},
        scope.services.loop.now());
}

}  // namespace millrace::gateway
