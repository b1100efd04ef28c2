#include "routing/catalog.hpp"

#include <algorithm>

#include "config/base/assert.hpp"
#include "routing/rewrite.hpp"

namespace millrace::routing {
namespace {

std::string quoted(std::string_view text) {
    return "\"" + std::string(text) + "\"";
}

}  // namespace

const Catalog::Name* Catalog::find_name(std::string_view name) const {
    const auto found = names_.find(name);
    return found == names_.end() ? nullptr : &found->second;
}

Result<Catalog::Asked> Catalog::asked(const RequestFacts& facts, Trace* trace) const {
    const auto header = facts.header_model;
    const auto body = facts.body_model.value_or(std::string_view());
    const auto given = header.empty() ? body : header;
    if (given.empty()) {
        return Asked{};
    }
    const Asked chosen{given, find_name(given)};
    if (!header.empty() && !body.empty() && header != body) {
        const auto* other = find_name(body);
        const bool differ =
            chosen.name != nullptr && other != nullptr && chosen.name->model != other->model;
        if (differ && loaded_->config.routes.on_model_conflict == config::ModelConflict::refuse) {
            return failure(Errc::model_mismatch, Origin::downstream,
                           "The header x-model-id names " + quoted(header) +
                               " and the body names " + quoted(body) +
                               "; send one of them, or the same model in both.");
        }
        if (trace != nullptr) {
            trace->add({"The body names ", quoted(body), ", but the header x-model-id wins."});
        }
    }
    if (trace != nullptr) {
        const std::string_view source = header.empty() ? "body" : "header x-model-id";
        if (chosen.name == nullptr) {
            trace->add({"The ", source, " names ", quoted(given),
                        ", which no model, alias or route knows."});
        } else {
            trace->add({"The ", source, " names ", quoted(given), ": model ",
                        quoted(chosen.name->id), "."});
        }
    }
    return chosen;
}

const Rule* Catalog::bound_rule(std::uint32_t rule_id, std::uint32_t model) const {
    const auto& bindings = bindings_[rule_id];
    const auto found = std::ranges::lower_bound(bindings, model, {},
                                                &std::pair<std::uint32_t, std::uint32_t>::first);
    MILLRACE_ASSERT(found != bindings.end() && found->first == model);
    return &rules_[found->second];
}

Error Catalog::not_found(const RequestFacts& facts, const Asked& asked) const {
    const auto request = std::string(facts.method) + " " + std::string(facts.path);
    if (!facts.api_path) {
        return {Errc::path_not_found, Origin::downstream,
                request + " is not part of the API and no route lists it."};
    }
    if (asked.given.empty()) {
        return {Errc::model_missing, Origin::downstream,
                facts.json_body ? "The JSON body has no `model` and there is no x-model-id header; "
                                  "name a model in one of them."
                                : "The request names no model; send an x-model-id header."};
    }
    if (asked.name == nullptr) {
        return {Errc::model_not_found, Origin::downstream,
                "The model " + quoted(asked.given) +
                    " does not exist; GET /v1/models lists those that do."};
    }
    return {Errc::path_not_found, Origin::downstream,
            "The model " + quoted(asked.given) +
                " is served by routes only, and none of them takes " + request + "."};
}

/// The shortcut past the candidate lists: the name's best entry, when nothing general goes before
/// it.
Resolution Catalog::first_match(const RequestFacts& facts, const Name* name) const {
    const auto& general = routes_.general();
    if (name == nullptr || name->first_entry == kNoEntry || !facts.api_path ||
        (!general.empty() && general.front() < name->first_entry) ||
        !routes_.accepts(name->first_entry, facts)) {
        return {};
    }
    return {&rules_[name->first_rule], &routes_.entries()[name->first_entry], name->id};
}

/// The best matching route; its rule is null when there is none.
Resolution Catalog::matched(const RequestFacts& facts, const Name* name, std::string_view id,
                            Trace* trace) const {
    if (routes_.entries().empty()) {
        return {};
    }
    if (trace == nullptr) {
        if (const auto first = first_match(facts, name); first.rule != nullptr) {
            return first;
        }
    }
    const auto* by_name = name != nullptr ? name->by_name : nullptr;
    const auto* by_id = name != nullptr ? name->by_id : nullptr;
    const bool control = !facts.api_path && is_control_path(facts.path);
    const auto* match = routes_.match(facts, by_name, by_id, control);
    if (trace != nullptr) {
        trace_routes(routes_, facts, by_name, by_id, match, *trace);
    }
    if (match == nullptr) {
        return {};
    }
    return {bound_rule(match->rule_id, name != nullptr ? name->model : kNoModel), match, id};
}

const ModelChooser* Catalog::chooser_of(const Asked& asked) const {
    return asked.name == nullptr || asked.name->chooser == kNoChooser
               ? nullptr
               : &choosers_[asked.name->chooser];
}

const ModelChooser* Catalog::chooser_of(const RequestFacts& facts) const {
    if (choosers_.empty()) {
        return nullptr;
    }
    const auto name = asked(facts);
    return name ? chooser_of(*name) : nullptr;
}

Result<Resolution> Catalog::find(const RequestFacts& facts, const Asked& asked,
                                 Trace* trace) const {
    const auto* name = asked.name;
    if (chooser_of(asked) != nullptr) {
        return std::unexpected(not_found(facts, asked));
    }
    const auto id = name != nullptr ? name->id : asked.given;
    if (const auto resolution = matched(facts, name, id, trace); resolution.rule != nullptr) {
        return resolution;
    }
    if (facts.api_path && name != nullptr && name->own_rule != kNoRule) {
        if (trace != nullptr) {
            trace->add({"The variants of model ", quoted(id), " apply."});
        }
        return Resolution{&rules_[name->own_rule], nullptr, id};
    }
    return std::unexpected(not_found(facts, asked));
}

Result<Resolution> Catalog::find(const RequestFacts& facts, Trace* trace) const {
    const auto name = asked(facts, trace);
    return name ? find(facts, *name, trace) : std::unexpected(name.error());
}

}  // namespace millrace::routing
