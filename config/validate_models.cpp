#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "config/base/header_field.hpp"
#include "config/field.hpp"
#include "config/syntax.hpp"
#include "config/validate.hpp"

namespace millrace::config {

namespace {

constexpr std::string_view kNameRule =
    "letters, digits and `._:/@+-`, at most 128, starting with a letter or digit, without `..`";

void check_name(const std::string& path, const std::string& name, Report& report) {
    if (!report.failed(path) && !is_identifier(name)) {
        report.error_at(path,
                        in_ticks(name) + " is not a valid name: " + std::string(kNameRule) + ".");
    }
}

class ModelCheck {
public:
    ModelCheck(const Config& config, Report& report)
        : config_(config), report_(report), backends_known_(!report.failed("backends")) {
        for (const auto& [name, backend] : config.backends) {
            backends_.push_back(name);
        }
        for (const auto& model : config.models) {
            models_.push_back(model.id);
        }
    }

    void model(const Model& model, const std::string& path) {
        if (!model.id.empty()) {
            unique_name(child_path(path, "id"), model.id);
        }
        for (std::size_t i = 0; i < model.aliases.size(); ++i) {
            unique_name(item_path(child_path(path, "aliases"), i), model.aliases[i]);
        }
        sticky(model.sticky, child_path(path, "sticky"));
        picker(model.picker, child_path(path, "picker"));
        variants(model, child_path(path, "variants"));
        validate_choice(config_, model, path, report_);
        const auto fallbacks = child_path(path, "fallback");
        for (std::size_t i = 0; i < model.fallback.size(); ++i) {
            fallback(model, i, item_path(fallbacks, i));
        }
        if (model.mirror) {
            backend(model.mirror->backend, child_path(child_path(path, "mirror"), "backend"));
        }
        if (model.overflow.after > Duration(0) && model.fallback.empty()) {
            report_.error_at(child_path(path, "overflow"),
                             "There is no `fallback` that a request could overflow to.",
                             "add one, or leave `overflow` out");
        }
    }

private:
    void unique_name(const std::string& path, const std::string& name) {
        check_name(path, name, report_);
        const auto [first, added] = names_.emplace(name, path);
        if (!added && !report_.failed(path)) {
            report_.error_at(path, "The name " + in_ticks(name) + " is already taken by " +
                                       in_ticks(first->second) + ".");
        }
    }

    void sticky(const Sticky& sticky, const std::string& path) {
        if (report_.failed(path) || sticky.header.empty()) {
            return;
        }
        const auto header = child_path(path, "header");
        if (sticky.api_key) {
            report_.error_at(path, "`header` and `api_key` exclude each other.");
        }
        if (!is_token(sticky.header)) {
            report_.error_at(header, in_ticks(sticky.header) + " is not a header name.");
        } else if (is_identity_header(sticky.header)) {
            report_.error_at(header,
                             in_ticks(sticky.header) +
                                 " says who a caller is or is removed on the way in; it "
                                 "cannot be a key.",
                             "use `api_key: true` or a header of your own");
        }
    }

    void picker(const Picker& picker, const std::string& path) {
        const auto& by = picker.by;
        for (std::size_t i = 0; i < by.size(); ++i) {
            if (std::find(by.begin(), by.begin() + static_cast<std::ptrdiff_t>(i), by[i]) !=
                by.begin() + static_cast<std::ptrdiff_t>(i)) {
                report_.error_at(item_path(child_path(path, "by"), i),
                                 in_ticks(name_of(by[i])) + " is in the list already.");
            }
        }
        const auto& session = picker.session;
        const bool has_key = session.api_key || !session.header.empty() || !session.field.empty();
        if (!report_.failed(path) && !has_key &&
            std::ranges::find(by, Affinity::session) != by.end()) {
            report_.error_at(path,
                             "`by` has `session`, but `session` does not say what a session "
                             "goes by.",
                             "give `session` a `header`, a `field` or `api_key: true`");
        }
        const auto header = child_path(child_path(path, "session"), "header");
        if (!session.header.empty() && !is_token(session.header)) {
            report_.error_at(header, in_ticks(session.header) + " is not a header name.");
        }
    }

    void variants(const Model& model, const std::string& path) {
        std::set<std::string> seen;
        std::uint64_t weights = 0;
        for (std::size_t i = 0; i < model.variants.size(); ++i) {
            variant(model.variants[i], item_path(path, i), seen);
            weights += model.variants[i].weight;
        }
        if (weights == 0 && !model.rollout && !model.variants.empty() && !report_.failed(path)) {
            report_.warning_at(path, "All weights of " + in_ticks(model.id) +
                                         " are 0; its requests are answered 503.");
        }
    }

    void variant(const Variant& variant, const std::string& path, std::set<std::string>& seen) {
        const auto name = child_path(path, "name");
        if (!variant.name.empty()) {
            check_name(name, variant.name, report_);
            if (!seen.insert(variant.name).second) {
                report_.error_at(
                    name, "The model has two variants named " + in_ticks(variant.name) + ".");
            }
        }
        backend(variant.backend, child_path(path, "backend"));
    }

    void backend(const std::string& name, const std::string& path) {
        if (!name.empty() && backends_known_ && !config_.backends.contains(name)) {
            report_.error_at(path, in_ticks(name) + " is not a key of `backends`.",
                             did_you_mean(name, backends_));
        }
    }

    void fallback(const Model& model, std::size_t index, const std::string& path) {
        const auto& target = model.fallback[index];
        const auto named = child_path(path, "model");
        if (target.model.empty() || report_.failed(path)) {
            return;
        }
        const auto found = std::ranges::find(config_.models, target.model, &Model::id);
        if (found == config_.models.end()) {
            report_.error_at(named, in_ticks(target.model) + " is not the `id` of a model.",
                             did_you_mean(target.model, models_));
            return;
        }
        if (found->id == model.id && target.variant.empty()) {
            report_.error_at(named, "A model cannot be its own fallback; one of its variants can.",
                             "name a `variant`, or another model");
        }
        if (!target.variant.empty() && std::ranges::find(found->variants, target.variant,
                                                         &Variant::name) == found->variants.end()) {
            report_.error_at(child_path(path, "variant"), in_ticks(found->id) + " has no variant " +
                                                              in_ticks(target.variant) + ".");
        }
        const auto first = std::ranges::find(model.fallback, target);
        if (first != model.fallback.begin() + static_cast<std::ptrdiff_t>(index)) {
            report_.error_at(path, "The list names this target twice.");
        }
    }

    const Config& config_;
    Report& report_;
    bool backends_known_;
    std::vector<std::string_view> backends_;
    std::vector<std::string_view> models_;
    std::map<std::string, std::string> names_;  ///< name → path of its first use
};

}  // namespace

bool is_identity_header(std::string_view name) {
    static constexpr std::string_view kIdentity[] = {
        "authorization",   "proxy-authorization", "x-api-key",
        "cookie",          "x-model-id",          "x-forwarded-client-cert",
        "x-forwarded-for", "forwarded",           "x-gateway-destination-endpoint"};
    std::string lower(name);
    std::ranges::transform(lower, lower.begin(), to_lower);
    return lower.starts_with("x-millrace-") ||
           std::ranges::find(kIdentity, lower) != std::end(kIdentity);
}

void validate_models(const Config& config, Report& report) {
    ModelCheck check(config, report);
    for (std::size_t i = 0; i < config.models.size(); ++i) {
        check.model(config.models[i], item_path("models", i));
    }
}

namespace {

/// Some match of a route wants exactly this model, by id or alias.
bool is_named_by(const std::vector<HttpRoute>& routes, const Model& model) {
    const auto is_model = [&](const NameValueMatch& header) {
        return equals_ignoring_case(header.name, "x-model-id") &&
               (header.value == model.id ||
                std::ranges::find(model.aliases, header.value) != model.aliases.end());
    };
    return std::ranges::any_of(routes, [&](const HttpRoute& route) {
        return std::ranges::any_of(route.rules, [&](const HttpRouteRule& rule) {
            return std::ranges::any_of(rule.matches, [&](const HttpRouteMatch& match) {
                return std::ranges::any_of(match.headers, is_model);
            });
        });
    });
}

}  // namespace

void validate_use(const Config& config, const std::vector<HttpRoute>& routes, Report& report) {
    if (config.models.empty() && routes.empty()) {
        report.warning_at("models", "There are no models and no routes: nothing is served.");
    }
    for (const auto& model : config.models) {
        if (model.variants.empty() && is_named_by(routes, model)) {
            report.warning_at("models", "A route names the model " + in_ticks(model.id) +
                                            ", which chooses another one: routes are looked up "
                                            "by the model that it chooses.");
        }
    }
    std::set<std::string_view> used;
    for (const auto& model : config.models) {
        for (const auto& variant : model.variants) {
            used.insert(variant.backend);
        }
        if (model.mirror) {
            used.insert(model.mirror->backend);
        }
    }
    for (const auto& route : routes) {
        for (const auto& rule : route.rules) {
            for (const auto& ref : rule.backends) {
                used.insert(ref.name);
            }
        }
    }
    for (const auto& [name, backend] : config.backends) {
        if (!used.contains(name)) {
            report.warning_at(child_path("backends", name),
                              "No model and no route uses this backend.");
        }
    }
}

}  // namespace millrace::config
