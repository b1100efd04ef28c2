#include "routing/model_chooser.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>
#include <variant>

#include "config/base/assert.hpp"

namespace millrace::routing {
namespace {

/// Completion tokens of a request that does not bound them, or bounds them at more.
constexpr std::uint64_t kUsualCompletion = 256;

template <class Number, class Range>
RuleRange<Number> range(const Range& configured) {
    RuleRange<Number> out;
    if (configured.over) {
        out.over = static_cast<Number>(*configured.over);
    }
    if (configured.up_to) {
        out.up_to = static_cast<Number>(*configured.up_to);
    }
    return out;
}

std::variant<std::string, double, bool> literal(const std::string& text) {
    if (text == "true" || text == "false") {
        return text == "true";
    }
    double number = 0;
    const auto* end = text.data() + text.size();
    const auto [stopped, error] = std::from_chars(text.data(), end, number);
    const bool is_word = text.find_first_not_of("+-.0123456789eE") != std::string::npos;  // `inf`
    if (!is_word && error == std::errc{} && stopped == end) {
        return number;
    }
    return text;
}

HeaderCondition condition(const config::RuleHeader& header) {
    using Match = HeaderCondition::Match;
    if (header.exact) {
        return {header.name, Match::exact, *header.exact};
    }
    if (header.prefix) {
        return {header.name, Match::prefix, *header.prefix};
    }
    return {header.name, Match::present, {}};
}

ModelRule compiled(const config::ModelRule& configured) {
    const auto& when = configured.when;
    ModelRule rule;
    rule.name = configured.name;
    rule.prompt_bytes = range<std::uint64_t>(when.prompt_bytes.value_or(config::SizeRange{}));
    rule.prompt_tokens = range<std::uint64_t>(when.prompt_tokens.value_or(config::CountRange{}));
    rule.max_tokens = range<std::uint64_t>(when.max_tokens.value_or(config::CountRange{}));
    rule.tools = when.tools;
    rule.images = when.images;
    rule.tiers = when.tiers;
    for (const auto& header : when.headers) {
        rule.headers.push_back(condition(header));
    }
    for (const auto& field : when.fields) {
        rule.fields.push_back({field.name,
                               field.equals ? std::optional(literal(*field.equals)) : std::nullopt,
                               range<double>(field)});
    }
    for (const auto& target : configured.targets) {
        rule.targets.push_back({target.model, target.weight});
    }
    return rule;
}

/// Millionths of a dollar.
double cost_of(const config::Price& price, const RuleFacts& facts) {
    constexpr double kPerToken = 1e6;  // prices are per million tokens
    const auto completion = std::min(facts.max_tokens.value_or(kUsualCompletion), kUsualCompletion);
    return (static_cast<double>(price.prompt.millionths) *
                static_cast<double>(facts.prompt_tokens) +
            static_cast<double>(price.completion.millionths) * static_cast<double>(completion)) /
           kPerToken;
}

std::size_t count_ready(const ModelCandidate& candidate, EndpointView& endpoints) {
    std::size_t ready = 0;
    for (const auto& pool : candidate.pools) {
        ready += static_cast<std::size_t>(std::ranges::count_if(
            endpoints.of(*pool).endpoints, [](const auto& endpoint) { return endpoint->ready(); }));
    }
    return ready;
}

}  // namespace

ModelChooser make_chooser(const config::Config& config, const config::Model& model,
                          const PoolsOfModel& pools_of, TicketDirectory& tickets,
                          ModelMeasures& measures) {
    ModelChooser chooser;
    chooser.model_id = model.id;
    std::string usual;
    if (model.automatic) {
        const auto& automatic = *model.automatic;
        chooser.policy = {static_cast<double>(automatic.speed),
                          static_cast<double>(automatic.price),
                          static_cast<double>(automatic.health), automatic.explore_percent / 100.0};
        for (const auto& id : automatic.candidates) {
            const auto candidate = std::ranges::find(config.models, id, &config::Model::id);
            MILLRACE_ASSERT(candidate != config.models.end());
            chooser.candidates.push_back(
                {id, candidate->price, pools_of(id), measures.acquire(id)});
        }
        usual = automatic.candidates.front();
    } else {
        auto rules = RuleSet::compile(model_rules(model.rules), model.id, tickets);
        MILLRACE_ASSERT(rules);
        chooser.rules = std::move(*rules);
        usual = model.rules.back().targets.back().model;
    }
    if (const auto pools = pools_of(usual); !pools.empty()) {
        chooser.usual_pool = pools.front();
    }
    return chooser;
}

std::vector<ModelRule> model_rules(const std::vector<config::ModelRule>& rules) {
    std::vector<ModelRule> out;
    out.reserve(rules.size());
    for (const auto& rule : rules) {
        out.push_back(compiled(rule));
    }
    return out;
}

Result<std::string_view> choose(const ModelChooser& chooser, const RequestFacts& facts,
                                EndpointView& endpoints, Random& random, Trace* trace) {
    RuleFacts known = facts.rules != nullptr ? *facts.rules : RuleFacts{};
    known.headers = facts.headers;
    if (chooser.candidates.empty()) {
        if (const auto choice = chooser.rules.choose(known, trace)) {
            return choice->model;
        }
        return failure(Errc::model_not_found, Origin::policy,
                       "No rule of the model \"" + chooser.model_id +
                           "\" takes this request; add one without conditions at the end.");
    }
    std::vector<AutoCandidate> candidates;
    candidates.reserve(chooser.candidates.size());
    for (const auto& candidate : chooser.candidates) {
        candidates.push_back({candidate.model, cost_of(candidate.price, known),
                              count_ready(candidate, endpoints), candidate.measure->read()});
    }
    const auto choice = choose_model(candidates, chooser.policy, random, trace);
    return chooser.candidates[choice.index].model;
}

}  // namespace millrace::routing
