// Models that choose another one: by rules or `auto`.
#include <algorithm>
#include <set>
#include <string>

#include "config/base/header_field.hpp"
#include "config/syntax.hpp"
#include "config/validate.hpp"

namespace millrace::config {

namespace {

/// Fields that the rules of one model may look at, because every request pays for them.
constexpr std::size_t kMaxFields = 8;

template <class Range>
bool is_empty(const Range& range) {
    return range.over && range.up_to && *range.over >= *range.up_to;
}

class ChoiceCheck {
public:
    ChoiceCheck(const Config& config, const Model& model, Report& report)
        : config_(config), model_(model), report_(report) {
        for (const auto& other : config.models) {
            ids_.push_back(other.id);
        }
    }

    void all(const std::string& path) {
        if (report_.failed(path)) {
            return;
        }
        const int ways = (model_.variants.empty() ? 0 : 1) + (model_.rules.empty() ? 0 : 1) +
                         (model_.automatic ? 1 : 0);
        if (ways != 1) {
            report_.error_at(path, std::string(ways == 0 ? "The model needs" : "The model has") +
                                       (ways == 0 ? "" : " more than") +
                                       " one of `variants`, `rules` and `auto`.");
            return;
        }
        if (model_.variants.empty()) {
            own_policy(path);
        }
        rules(child_path(path, "rules"));
        if (model_.automatic) {
            candidates(child_path(path, "auto"));
        }
    }

private:
    /// Whatever else such a model says is said of the model that it chooses.
    void own_policy(const std::string& path) {
        auto rest = model_;
        rest.rules.clear();
        rest.automatic.reset();
        Model plain;
        plain.id = model_.id;
        plain.aliases = model_.aliases;
        plain.owned_by = model_.owned_by;
        if (rest != plain) {
            report_.warning_at(path,
                               "The model chooses another one, whose `class`, `priority`, "
                               "`sticky`, `picker`, `unready`, `retry`, `heartbeat` and `price` "
                               "count; its own do nothing.");
        }
    }

    void rules(const std::string& path) {
        std::set<std::string> names;
        std::set<std::string> fields;
        for (std::size_t i = 0; i < model_.rules.size(); ++i) {
            const auto& rule = model_.rules[i];
            const auto at = item_path(path, i);
            if (!rule.name.empty() && !names.insert(rule.name).second) {
                report_.error_at(child_path(at, "name"),
                                 "The model has two rules named " + in_ticks(rule.name) + ".");
            }
            const auto when = child_path(at, "when");
            conditions(rule.when, when);
            for (const auto& field : rule.when.fields) {
                if (fields.insert(field.name).second && fields.size() == kMaxFields + 1) {
                    report_.error_at(when, "The rules of a model may look at " +
                                               std::to_string(kMaxFields) +
                                               " different body fields; this one is the ninth.");
                }
            }
            targets(rule, child_path(at, "targets"));
            const bool is_last = i + 1 == model_.rules.size();
            const bool is_general = rule.when == RuleConditions{};
            if (is_last != is_general && !report_.failed(at)) {
                report_.error_at(
                    at, is_last ? "The last rule must have no conditions, so that every request "
                                  "gets a model."
                                : "A rule without conditions takes every request; it must be the "
                                  "last one.");
            }
        }
    }

    void conditions(const RuleConditions& when, const std::string& path) {
        const auto range = [&](const auto& bounds, const char* key) {
            if (bounds && is_empty(*bounds)) {
                empty_range(child_path(path, key));
            }
        };
        range(when.prompt_bytes, "prompt_bytes");
        range(when.prompt_tokens, "prompt_tokens");
        range(when.max_tokens, "max_tokens");
        tiers(when.tiers, child_path(path, "tiers"));
        for (std::size_t i = 0; i < when.headers.size(); ++i) {
            header(when.headers[i], item_path(child_path(path, "headers"), i));
        }
        for (std::size_t i = 0; i < when.fields.size(); ++i) {
            const auto& field = when.fields[i];
            const auto at = item_path(child_path(path, "fields"), i);
            if (is_empty(field)) {
                empty_range(at);
            } else if (field.equals && (field.over || field.up_to)) {
                report_.error_at(at, "`equals` excludes `over` and `up_to`.");
            }
        }
    }

    void empty_range(const std::string& path) {
        report_.error_at(path, "Nothing is in this range: `over` must be below `up_to`.");
    }

    void tiers(const std::vector<std::string>& tiers, const std::string& path) {
        std::vector<std::string_view> known;
        known.reserve(config_.tenants.size());
        for (const auto& [name, tenant] : config_.tenants) {
            known.push_back(tenant.tier);
        }
        for (std::size_t i = 0; i < tiers.size(); ++i) {
            if (!report_.failed("tenants") && std::ranges::find(known, tiers[i]) == known.end()) {
                report_.warning_at(item_path(path, i),
                                   "No tenant has the tier " + in_ticks(tiers[i]) + ".");
            }
        }
    }

    void header(const RuleHeader& header, const std::string& path) {
        const auto name = child_path(path, "name");
        if (header.exact && header.prefix) {
            report_.error_at(path, "`exact` and `prefix` exclude each other.");
        }
        if (header.name.empty()) {
            return;  // required
        }
        if (!is_token(header.name)) {
            report_.error_at(name, in_ticks(header.name) + " is not a header name.");
        } else if (is_identity_header(header.name)) {
            report_.error_at(name,
                             in_ticks(header.name) +
                                 " says who a caller is or is removed on the way in; a rule "
                                 "cannot ask for it.",
                             "use `tiers`");
        }
    }

    void targets(const ModelRule& rule, const std::string& path) {
        std::uint64_t weights = 0;
        for (std::size_t i = 0; i < rule.targets.size(); ++i) {
            target(rule.targets[i].model, child_path(item_path(path, i), "model"));
            weights += rule.targets[i].weight;
        }
        if (weights == 0 && !rule.targets.empty() && !report_.failed(path)) {
            report_.error_at(path, "All weights of the rule are 0; give one target a weight.");
        }
    }

    void candidates(const std::string& path) {
        std::set<std::string> seen;
        const auto list = child_path(path, "candidates");
        const auto& names = model_.automatic->candidates;
        for (std::size_t i = 0; i < names.size(); ++i) {
            const auto at = item_path(list, i);
            target(names[i], at);
            if (!seen.insert(names[i]).second) {
                report_.error_at(at, "The candidate " + in_ticks(names[i]) + " is listed twice.");
            }
        }
    }

    void target(const std::string& id, const std::string& path) {
        if (id.empty() || report_.failed(path)) {
            return;
        }
        const auto found = std::ranges::find(config_.models, id, &Model::id);
        if (found == config_.models.end()) {
            report_.error_at(path, in_ticks(id) + " is not the id of a model.",
                             did_you_mean(id, ids_));
        } else if (!found->rules.empty() || found->automatic) {
            report_.error_at(path, "The model " + in_ticks(id) +
                                       " chooses another one itself; name a model that has "
                                       "`variants`.");
        }
    }

    const Config& config_;
    const Model& model_;
    Report& report_;
    std::vector<std::string_view> ids_;
};

}  // namespace

void validate_choice(const Config& config, const Model& model, const std::string& path,
                     Report& report) {
    ChoiceCheck(config, model, report).all(path);
}

}  // namespace millrace::config
