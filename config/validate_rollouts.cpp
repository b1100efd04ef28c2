#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "config/syntax.hpp"
#include "config/validate.hpp"

namespace millrace::config {
namespace {

void check_canary(const Model& model, const std::string& path, Report& report) {
    std::vector<std::string_view> names;
    names.reserve(model.variants.size());
    for (const auto& variant : model.variants) {
        names.push_back(variant.name);
    }
    if (names.size() != 2) {
        report.error_at(path,
                        "A rollout needs exactly two variants, the stable one and the "
                        "canary; " +
                            in_ticks(model.id) + " has " + std::to_string(names.size()) + ".");
    }
    const auto& canary = model.rollout->canary;
    if (!canary.empty() && std::ranges::find(names, canary) == names.end()) {
        report.error_at(child_path(path, "canary"),
                        in_ticks(canary) + " is not a variant of " + in_ticks(model.id) + ".",
                        did_you_mean(canary, names));
    }
}

void check_steps(const std::vector<std::uint32_t>& steps, const std::string& path, Report& report) {
    if (report.failed(path) || steps.size() < 2) {
        return;
    }
    if (steps.front() == 0 || steps.back() != 100 ||
        std::ranges::adjacent_find(steps, std::greater_equal{}) != steps.end()) {
        report.error_at(path,
                        "`steps` are percentages above 0 that grow, and the last one is 100.");
    }
}

/// harm 0 of a time or cost = not watched.
void check_margin(std::uint32_t tolerated, std::uint32_t harm, const std::string& path,
                  std::string_view unit, Report& report) {
    if (!report.failed(path) && harm > 0 && tolerated >= harm) {
        report.error_at(path, "`tolerated_" + std::string(unit) + "` must be smaller than `harm_" +
                                  std::string(unit) +
                                  "`: nothing can be told from each other without room between.");
    }
}

/// Of both arms: a cost can only be compared with another.
void check_prices(const Config& config, const Model& model, const std::string& path,
                  Report& report) {
    if (model.rollout->cost.harm_percent == 0 || report.failed(path)) {
        return;
    }
    for (const auto& variant : model.variants) {
        const auto found = config.backends.find(variant.backend);
        const auto key = child_path(child_path("backends", variant.backend), "cost_per_hour");
        if (found != config.backends.end() && found->second.cost_per_hour.millionths == 0 &&
            !report.failed(key)) {
            report.error_at(path, "`cost` is watched, so both variants need a price: " +
                                      in_ticks(key) + " is not set.");
            return;
        }
    }
}

void check_rollout(const Config& config, const Model& model, const std::string& path,
                   Report& report) {
    if (report.failed(path)) {
        return;
    }
    const auto& rollout = *model.rollout;
    check_canary(model, path, report);
    check_steps(rollout.steps, child_path(path, "steps"), report);
    if (rollout.max_step_time < rollout.min_step_time) {
        report.error_at(child_path(path, "max_step_time"),
                        "`max_step_time` is shorter than `min_step_time`.");
    }
    check_margin(rollout.errors.tolerated_permille, rollout.errors.harm_permille,
                 child_path(path, "errors"), "permille", report);
    check_margin(rollout.first_token.tolerated_percent, rollout.first_token.harm_percent,
                 child_path(path, "first_token"), "percent", report);
    check_margin(rollout.token_gap.tolerated_percent, rollout.token_gap.harm_percent,
                 child_path(path, "token_gap"), "percent", report);
    check_margin(rollout.cost.tolerated_percent, rollout.cost.harm_percent,
                 child_path(path, "cost"), "percent", report);
    check_prices(config, model, child_path(path, "cost"), report);
}

}  // namespace

void validate_rollouts(const Config& config, Report& report) {
    bool any = false;
    for (std::size_t i = 0; i < config.models.size(); ++i) {
        if (config.models[i].rollout) {
            any = true;
            check_rollout(config, config.models[i], child_path(item_path("models", i), "rollout"),
                          report);
        }
    }
    if (any && config.rollouts.state_directory.empty() && !report.failed("rollouts")) {
        report.warning_at("rollouts.state_directory",
                          "Rollouts are kept in memory only: a restart begins each of them anew, a "
                          "promoted one too.",
                          "set `rollouts.state_directory`");
    }
}

}  // namespace millrace::config
