#include "gateway/commands/explain.hpp"

#include <algorithm>

#include "gateway/openai/multipart.hpp"
#include "gateway/openai/peek.hpp"
#include "gateway/openai/rule_facts.hpp"
#include "gateway/openai/surface.hpp"
#include "gateway/pipeline/preference.hpp"
#include "gateway/upstream/backend.hpp"
#include "routing/decision.hpp"

namespace millrace::gateway {
namespace {

/// What routing gets to know, and the strings that it views.
struct Facts {
    routing::RequestFacts view;
    std::vector<HeaderField> headers;
    std::optional<openai::RequestFields> fields;  ///< of a JSON body
    std::optional<std::string> body_model;
    openai::RuleInputs inputs;
};

std::string_view value_of(HeaderFields fields, std::string_view name) {
    const auto* field = find_field(fields, name);
    return field != nullptr ? field->value : std::string_view();
}

Result<void> read_body(const SampleRequest& request, const openai::Surface& surface, unsigned depth,
                       Facts& facts) {
    if (request.body.empty()) {
        return {};  // a sample may leave it out
    }
    if (surface.body == openai::BodyKind::json) {
        openai::Peek peek(depth);
        if (auto fed = peek.feed(request.body); !fed) {
            return std::unexpected(fed.error());
        }
        auto read = peek.finish(request.body);
        if (!read) {
            return std::unexpected(read.error());
        }
        facts.body_model = read->model;
        facts.fields = std::move(*read);
    } else if (surface.body == openai::BodyKind::multipart) {
        auto read = openai::read_multipart(value_of(facts.headers, "content-type"), request.body);
        if (!read) {
            return std::unexpected(read.error());
        }
        facts.body_model = std::move(read->model);
    }
    return {};
}

/// What rules may ask about; nothing was learned of any backend here.
void add_rule_facts(const SampleRequest& request, const routing::Catalog& catalog, Facts& facts) {
    const auto* chooser = catalog.chooser_of(facts.view);
    if (chooser == nullptr) {
        return;
    }
    if (facts.fields) {
        facts.inputs.read_json(*facts.fields, request.body, chooser->rules);
    } else {
        facts.inputs.read_other(request.body);
    }
    const auto& tenants = catalog.loaded().config.tenants;
    const auto tenant = tenants.find(request.tenant);
    facts.view.rules =
        &facts.inputs.facts(BackendLearned::kUsualTokensPerByte,
                            tenant == tenants.end() ? std::string_view() : tenant->second.tier);
}

/// The same facts that the pipeline gives routing. `facts` views into `request`. False = routing is
/// not asked.
Result<bool> gather(const SampleRequest& request, unsigned depth, Facts& facts,
                    std::vector<std::string>& lines) {
    for (const auto& [name, value] : request.headers) {
        facts.headers.push_back({name, value});
    }
    auto& view = facts.view;
    const std::string_view target = request.target;
    const auto question = std::min(target.find('?'), target.size());
    view.method = request.method;
    view.path = target.substr(0, question);
    view.query = target.substr(std::min(question + 1, target.size()));
    view.headers = facts.headers;
    view.host = value_of(facts.headers, "host");
    view.header_model = value_of(facts.headers, routing::kModelHeader);
    view.key_id = request.key_id;

    const auto surface = openai::find_surface(view.method, view.path);
    if (!surface && surface.error().code != Errc::path_not_found) {
        return std::unexpected(surface.error());
    }
    view.api_path = surface.has_value();
    if (!surface) {
        lines.push_back("The path is outside the API, so only an explicit route can take it.");
        return true;
    }
    lines.push_back("The path is the API `" + std::string(surface->surface->name) + "`.");
    if (surface->surface->is_local) {
        lines.emplace_back("The gateway answers it itself.");
        return false;
    }
    if (surface->surface->by_response_id) {
        lines.push_back("It goes to the endpoint that stored the response `" + surface->id +
                        "`, which only the gateway that saw it knows.");
        return false;
    }
    if (auto read = read_body(request, *surface->surface, depth, facts); !read) {
        return std::unexpected(read.error());
    }
    view.json_body = surface->surface->body == openai::BodyKind::json;
    if (facts.body_model) {
        view.body_model = *facts.body_model;
    }
    return true;
}

}  // namespace

Explanation explain(const SampleRequest& request, const routing::Catalog& catalog,
                    routing::EndpointView& endpoints, routing::PromptBlocks& blocks,
                    Random& random) {
    Explanation explanation;
    Facts facts;
    const auto gathered =
        gather(request, catalog.loaded().config.limits.json_depth, facts, explanation.lines);
    if (!gathered) {
        explanation.refusal = gathered.error();
        return explanation;
    }
    if (!*gathered) {
        return explanation;
    }
    add_rule_facts(request, catalog, facts);
    routing::Trace trace;
    const auto decision = routing::decide(facts.view, catalog, endpoints, random, &trace);
    if (!decision) {
        explanation.refusal = decision.error();
    } else {
        explanation.backend = decision->target->backend_name;
        explanation.variant = decision->target->variant;
        explanation.served_name = decision->served_name;
        const Preferring preferring{*decision, facts.fields ? &*facts.fields : nullptr,
                                    request.body, facts.headers, request.key_id};
        const auto selection = selection_for(preferring, blocks);
        if (const auto selected =
                routing::pick_endpoint(*decision, selection, endpoints, random, &trace)) {
            explanation.endpoint = selected.lease->url;
        }
    }
    explanation.lines.insert(explanation.lines.end(), trace.lines().begin(), trace.lines().end());
    return explanation;
}

}  // namespace millrace::gateway
