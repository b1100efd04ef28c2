#include "routing/decision.hpp"

#include <string>

#include "routing/gate.hpp"
#include "routing/rewrite.hpp"

namespace millrace::routing {
namespace {

constexpr std::size_t kNone = static_cast<std::size_t>(-1);

std::string_view sticky_key(const Rule& rule, const RequestFacts& facts) {
    if (rule.sticky.api_key) {
        return facts.key_id;
    }
    if (rule.sticky.header.empty()) {
        return {};
    }
    const auto* field = find_field(facts.headers, rule.sticky.header);
    return field != nullptr ? field->value : std::string_view();
}

/// The shares in force; to be looked at once per request, because a rollout changes them.
const WeightTable& weights_of(const Rule& rule) {
    return rule.rollout != nullptr ? rule.rollout->weights() : rule.weights;
}

/// What the explanation says of a rollout's shares.
void trace_rollout(const WeightTable& weights, Trace* trace) {
    if (trace != nullptr) {
        const auto canary = weights.weight(static_cast<std::size_t>(RolloutArm::canary));
        trace->add(
            {"A rollout decides the shares, the configured weights do not count: its canary "
             "gets ",
             std::to_string(100 * canary / weights.window()), " %."});
    }
}

void trace_choice(const Rule& rule, std::size_t index, std::string_view how, Trace* trace) {
    if (trace == nullptr) {
        return;
    }
    if (rule.rollout != nullptr) {
        trace->add({"Variant ", rule.targets[index].variant, " by ", how, "."});
        return;
    }
    std::string shares;
    for (const auto& target : rule.targets) {
        shares +=
            (shares.empty() ? "" : ", ") + target.variant + " " + std::to_string(target.weight);
    }
    trace->add({"Weights: ", shares, ". Variant ", rule.targets[index].variant, " by ", how, "."});
}

std::size_t choose(const Rule& rule, const WeightTable& weights, std::string_view key,
                   Trace* trace) {
    if (const auto only = weights.only(); only < rule.targets.size()) {
        trace_choice(rule, only, "being the only one with a weight", trace);
        return only;
    }
    if (!key.empty()) {
        const auto index = weights.pick_sticky(stable_hash(key));
        trace_choice(rule, index, "the hash of the sticky key", trace);
        return index;
    }
    const auto ticket = rule.tickets->next();
    const auto index = weights.pick(ticket);
    trace_choice(rule, index, trace != nullptr ? "ticket " + std::to_string(ticket) : std::string(),
                 trace);
    return index;
}

bool is_ready(const Rule& rule, const WeightTable& weights, std::size_t index,
              EndpointView& endpoints) {
    const auto& target = rule.targets[index];
    return weights.weight(index) > 0 && target.pool != nullptr &&
           endpoints.of(*target.pool).ready();
}

/// A ready sibling for the share of a variant that is not: by affinity when sticky, else by weight.
std::size_t redraw(const Rule& rule, const WeightTable& weights, std::string_view key,
                   EndpointView& endpoints, Random& random) {
    const auto hash = key.empty() ? 0 : stable_hash(key);
    std::size_t best = kNone;
    double best_affinity = 0;
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < rule.targets.size(); ++i) {
        if (!is_ready(rule, weights, i, endpoints)) {
            continue;
        }
        if (!key.empty()) {
            const double affinity = weights.affinity(i, hash);
            if (affinity > best_affinity) {
                best = i;
                best_affinity = affinity;
            }
            continue;
        }
        // Weighted reservoir of one: i replaces the earlier ones with probability weight / weights
        // seen.
        seen += weights.weight(i);
        if (random() % seen < weights.weight(i)) {
            best = i;
        }
    }
    return best;
}

Error not_ready(const Rule& rule, const Target& target) {
    return {Errc::no_ready_endpoint, Origin::policy,
            "No endpoint of backend \"" + target.backend_name + "\" is ready, and " + rule.label +
                " does not let requests wait (unready: unavailable); try again later."};
}

Error no_backend(const Rule& rule) {
    return {Errc::unresolved_backend, Origin::policy,
            "The route " + rule.label + " has no backendRefs; add one to its rule."};
}

Error no_weight(const Rule& rule) {
    return {
        Errc::zero_weight, Origin::policy,
        "All variants of " +
            (rule.manifest != nullptr ? "route " + rule.label : "model \"" + rule.model_id + "\"") +
            " have weight 0; give one of them a weight."};
}

Error unresolved(const Rule& rule, const Target& target) {
    return {Errc::unresolved_backend, Origin::policy,
            "The backend \"" + target.backend_name + "\" of " +
                (rule.manifest != nullptr ? "route " : "") + rule.label +
                " is not configured; add it under `backends`."};
}

/// A prefix replacement must not lead to a control endpoint that no route lists.
bool rewrites_to_control(const Resolution& resolution, std::string_view path) {
    if (!resolution.rule->replaces_prefix) {
        return false;
    }
    const auto rewritten = rewritten_path(*resolution.rule, resolution.match, path);
    return rewritten && is_control_path(*rewritten);
}

Result<std::size_t> choose_variant(const Rule& rule, const RequestFacts& facts,
                                   EndpointView& endpoints, Random& random, Trace* trace) {
    if (rule.targets.empty()) {
        return std::unexpected(no_backend(rule));
    }
    const auto& weights = weights_of(rule);
    if (weights.all_zero()) {
        return std::unexpected(no_weight(rule));
    }
    if (rule.rollout != nullptr) {
        trace_rollout(weights, trace);
    }
    const auto key = sticky_key(rule, facts);
    const auto index = choose(rule, weights, key, trace);
    const auto& first = rule.targets[index];
    if (first.pool == nullptr) {
        return std::unexpected(unresolved(rule, first));
    }
    if (endpoints.of(*first.pool).ready()) {
        return index;
    }
    if (rule.unready == config::Unready::unavailable) {
        return std::unexpected(not_ready(rule, first));
    }
    const auto sibling = rule.unready == config::Unready::redraw
                             ? redraw(rule, weights, key, endpoints, random)
                             : kNone;
    if (trace != nullptr) {
        const bool moves = sibling != kNone;
        trace->add({"Variant ", first.variant, " has no ready endpoint; ",
                    moves ? "its share goes to " : "the request waits for one",
                    moves ? rule.targets[sibling].variant : std::string_view(), "."});
    }
    return sibling != kNone ? sibling : index;
}

void trace_fallbacks(const Rule& rule, Trace& trace) {
    std::string names;
    for (const auto& fallback : rule.fallbacks) {
        names += (names.empty() ? "" : ", ") + fallback.rule->model_id +
                 (fallback.only != nullptr ? "/" + fallback.only->variant : "");
    }
    if (!names.empty()) {
        trace.add({"Fallbacks, in this order: ", names, "."});
    }
}

}  // namespace

Result<Decision> decide(const Rule& rule, const RequestFacts& facts, EndpointView& endpoints,
                        Random& random) {
    const auto index = choose_variant(rule, facts, endpoints, random, nullptr);
    if (!index) {
        return std::unexpected(index.error());
    }
    const auto& target = rule.targets[*index];
    return Decision{rule.model_id, target.served_name, &rule, &target, nullptr, {}};
}

Result<Decision> decide(const RequestFacts& facts, const Catalog& catalog, EndpointView& endpoints,
                        Random& random, Trace* trace) {
    auto asked = catalog.asked(facts, trace);
    if (!asked) {
        return std::unexpected(std::move(asked.error()));
    }
    const auto* chooser = catalog.chooser_of(*asked);
    if (chooser != nullptr) {
        const auto model = choose(*chooser, facts, endpoints, random, trace);
        if (!model) {
            return std::unexpected(model.error());
        }
        *asked = catalog.as_asked(*model);
    }
    auto resolution = catalog.find(facts, *asked, trace);
    if (!resolution) {
        return std::unexpected(std::move(resolution.error()));
    }
    const auto& rule = *resolution->rule;
    if (rewrites_to_control(*resolution, facts.path)) {
        return failure(Errc::path_not_found, Origin::policy,
                       "The route " + rule.label +
                           " would rewrite this path to a control endpoint of the backend, which "
                           "only a route with that exact path may reach.");
    }
    auto index = choose_variant(rule, facts, endpoints, random, trace);
    if (!index) {
        return std::unexpected(std::move(index.error()));
    }
    if (trace != nullptr) {
        trace_fallbacks(rule, *trace);
    }
    const auto& target = rule.targets[*index];
    Decision decision;
    decision.model_id = resolution->model_id;
    decision.served_name =
        target.served_name.empty() ? resolution->model_id : std::string_view(target.served_name);
    decision.rule = &rule;
    decision.target = &target;
    decision.match = resolution->match;
    decision.chosen_by = chooser != nullptr ? std::string_view(chooser->model_id) : "";
    return decision;
}

namespace {

void trace_endpoints(const EndpointSet& set, const Avoided& avoid, Trace& trace) {
    for (const auto& endpoint : set.endpoints) {
        const auto slots = endpoint->limit();
        trace.add({"Endpoint ", endpoint->url, ": ",
                   std::to_string(endpoint->in_flight.load(std::memory_order_relaxed)),
                   slots == kUnlimitedSlots ? "" : " of " + std::to_string(slots), " in flight",
                   endpoint->draining              ? ", draining"
                   : !endpoint->health.available() ? ", out of rotation"
                                                   : "",
                   avoid.contains(endpoint.get()) ? ", failed just now" : "", "."});
    }
}

}  // namespace

Selected pick_endpoint(const Decision& decision, const Selection& selection,
                       EndpointView& endpoints, Random& random, Trace* trace) {
    const auto& pool = *decision.target->pool;
    const auto& set = endpoints.of(pool);
    if (trace != nullptr) {
        trace_endpoints(set, selection.avoid, *trace);
    }
    auto selected = pool.gate().crowded() ? Selected{} : select(set, selection, random, trace);
    if (trace != nullptr && selected) {
        trace->add(
            {"Endpoint ", selected.lease->url, " is taken: ", sentence_of(selected.reason), "."});
    } else if (trace != nullptr) {
        trace->add({set.ready() ? "All slots are taken" : "No endpoint is ready",
                    ": the request waits in line."});
    }
    return selected;
}

Error not_ready(const Decision& decision) {
    return not_ready(*decision.rule, *decision.target);
}

}  // namespace millrace::routing
