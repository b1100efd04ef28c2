#include "routing/rollout_settings.hpp"

#include "config/base/assert.hpp"

namespace millrace::routing {
namespace {

double percent(std::uint32_t value) {
    return value / 100.0;
}

std::optional<Margin> margin(const config::TimeMargin& settings) {
    if (settings.harm_percent == 0) {
        return std::nullopt;
    }
    return Margin{percent(settings.tolerated_percent), percent(settings.harm_percent)};
}

}  // namespace

RolloutPolicy rollout_policy(const config::Rollout& settings) {
    RolloutPolicy policy;
    policy.steps = settings.steps;
    policy.min_requests = settings.min_requests;
    policy.min_step_time = settings.min_step_time;
    policy.max_step_time = settings.max_step_time;
    policy.wrong_rollback = percent(settings.wrong_rollback_percent);
    policy.missed_harm = percent(settings.missed_harm_percent);
    policy.error_rate = {settings.errors.tolerated_permille / 1000.0,
                         settings.errors.harm_permille / 1000.0};
    policy.first_token = margin(settings.first_token);
    policy.token_gap = margin(settings.token_gap);
    policy.cost = margin(settings.cost);
    return policy;
}

RolloutNames rollout_names(const config::Model& model) {
    MILLRACE_ASSERT(model.rollout && model.variants.size() == 2);
    const bool canary_is_first = model.variants[0].name == model.rollout->canary;
    const auto& canary = model.variants[canary_is_first ? 0 : 1];
    const auto& stable = model.variants[canary_is_first ? 1 : 0];
    return {model.id, stable.name, canary.name,
            canary.backend +
                (canary.served_name.empty() ? std::string() : " as " + canary.served_name)};
}

}  // namespace millrace::routing
