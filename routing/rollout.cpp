#include "routing/rollout.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

#include "config/base/assert.hpp"
#include "routing/rollout_text.hpp"

namespace millrace::routing {
namespace {

/// Values that differ by less than 1 % from request to request differ by less than clocks and
/// scheduling do.
constexpr double kMinDeviation = 0.01;

double log_seconds(Duration duration) {
    return std::log(std::max(1e-6, seconds(duration)));
}

Moments rate(std::uint64_t requests, std::uint64_t errors) {
    const auto sum = static_cast<double>(errors);
    return {requests, sum, sum};
}

Moments moments(const ArmTotals& totals, Measure measure) {
    switch (measure) {
        case Measure::error_rate: return rate(totals.requests, totals.errors);
        case Measure::first_token: return totals.first_token;
        case Measure::token_gap: return totals.token_gap;
        case Measure::cost: return totals.cost;
    }
    return {};
}

bool grew(const ArmTotals& before, const ArmTotals& after) {
    return after.errors >= before.errors && std::ranges::all_of(kMeasures, [&](Measure measure) {
               return moments(after, measure).count >= moments(before, measure).count;
           });
}

ArmTotals since(const ArmTotals& before, const ArmTotals& after) {
    return {after.requests - before.requests, after.errors - before.errors,
            after.first_token.since(before.first_token), after.token_gap.since(before.token_gap),
            after.cost.since(before.cost)};
}

/// The margin on the scale that is compared: ratios become differences of logarithms.
Margin on_scale(Measure measure, Margin margin) {
    return measure == Measure::error_rate
               ? margin
               : Margin{std::log1p(margin.tolerated), std::log1p(margin.harm)};
}

bool begun(const MatchedArms& arms, bool canary) {
    return arms.canary_count > 0 || (canary ? arms.open_canary : arms.open_stable).count > 0;
}

bool margin_is_sound(Measure measure, Margin margin) {
    const double largest = measure == Measure::error_rate ? 1 : 10;
    return margin.tolerated >= 0 && margin.tolerated < margin.harm && margin.harm < largest;
}

}  // namespace

ArmTotals& ArmTotals::operator+=(const ArmTotals& other) {
    requests += other.requests;
    errors += other.errors;
    first_token += other.first_token;
    token_gap += other.token_gap;
    cost += other.cost;
    return *this;
}

double first_token_value(Duration first_token, std::uint64_t prompt_tokens) {
    return log_seconds(first_token) +
           std::log(1500.0 / (static_cast<double>(prompt_tokens) + 500.0));
}

double token_gap_value(Duration mean_gap) {
    return log_seconds(mean_gap);
}

double cost_value(double cost_per_token) {
    MILLRACE_ASSERT(cost_per_token > 0);
    return std::log(cost_per_token);
}

std::optional<Margin> RolloutPolicy::margin(Measure measure) const {
    switch (measure) {
        case Measure::error_rate: return error_rate;
        case Measure::first_token: return first_token;
        case Measure::token_gap: return token_gap;
        case Measure::cost: return cost;
    }
    return std::nullopt;
}

std::optional<std::string> problem(const RolloutPolicy& policy) {
    const auto& steps = policy.steps;
    if (steps.size() < 2 || steps.front() == 0 || steps.back() != 100 ||
        std::ranges::adjacent_find(steps, std::greater_equal{}) != steps.end()) {
        return "the steps of a rollout are growing percentages, at least one before the last, "
               "which is 100";
    }
    const auto probability = [](double p) { return p > 0 && p <= 0.5; };
    if (!probability(policy.wrong_rollback) || !probability(policy.missed_harm)) {
        return "the error probabilities of a rollout are above 0 and at most 0.5";
    }
    if (policy.min_step_time < Duration::zero() || policy.max_step_time < policy.min_step_time) {
        return "the longest time of a rollout's step is at least its shortest";
    }
    for (const auto measure : kMeasures) {
        if (const auto margin = policy.margin(measure);
            margin && !margin_is_sound(measure, *margin)) {
            return "the margins of " + std::string(to_string(measure)) +
                   " need 0 <= tolerated < harm, and harm below " +
                   (measure == Measure::error_rate ? "1 (100 points)" : "10 (1000 %)");
        }
    }
    return std::nullopt;
}

std::string RolloutNames::identity() const {
    return "model " + model + ", " + stable + " to " + canary + " (" + revision + ')';
}

std::string_view to_string(RolloutCommand command) {
    switch (command) {
        case RolloutCommand::start: return "start";
        case RolloutCommand::pause: return "pause";
        case RolloutCommand::resume: return "resume";
        case RolloutCommand::promote: return "promote";
        case RolloutCommand::abort: return "abort";
    }
    return {};
}

Rollout::Rollout(RolloutPolicy policy, RolloutNames names)
    : policy_(std::move(policy)), names_(std::move(names)) {
    MILLRACE_ASSERT(!problem(policy_));
    const auto watched = std::ranges::count_if(
        kMeasures, [&](Measure measure) { return policy_.margin(measure).has_value(); });
    // Every measure in every step is a chance to be wrong: they share alpha (Bonferroni).
    const auto chances =
        static_cast<double>(watched) * static_cast<double>(policy_.steps.size() - 1);
    worse_at_ = std::log(chances / policy_.wrong_rollback);
    fine_at_ = std::log(1 / policy_.missed_harm);
}

Rollout::Restored Rollout::restore(RolloutPolicy policy, RolloutNames names,
                                   std::string_view text) {
    Restored restored{Rollout(std::move(policy), std::move(names)), {}};
    auto& rollout = restored.rollout;
    auto state = rollout_state_from_json(text, rollout.names_.identity());
    if (!state) {
        restored.note = "the rollout starts anew: " + state.error();
        return restored;
    }
    const auto before = std::exchange(rollout.state_, std::move(*state));
    if (rollout.watching() && rollout.step() == rollout.policy_.steps.size()) {
        restored.note = "the rollout starts anew: its stored share of " +
                        std::to_string(rollout.weight()) + " % is no longer one of the steps";
        rollout.state_ = before;
    }
    return restored;
}

bool Rollout::watching() const {
    return phase() == RolloutPhase::running || phase() == RolloutPhase::paused;
}

bool Rollout::overdue() const {
    return watching() && state_.in_step >= policy_.max_step_time;
}

std::size_t Rollout::step() const {
    const auto& steps = policy_.steps;
    return static_cast<std::size_t>(std::ranges::find(steps, weight()) - steps.begin());
}

RolloutAction Rollout::advance(const ArmTotals& stable, const ArmTotals& canary, Instant now) {
    const auto passed = last_ ? std::max(Duration::zero(), Duration(now - *last_)) : Duration{};
    last_ = now;
    const auto before = std::exchange(seen_, Seen{stable, canary});
    if (!watching()) {
        return {RolloutAction::Kind::none, weight(), {}};
    }
    const bool was_overdue = overdue();
    state_.in_step += passed;
    if (before && grew(before->stable, stable) && grew(before->canary, canary)) {
        watch(since(before->stable, stable), since(before->canary, canary));
    }
    const auto known = comparisons();
    if (const auto harm = std::ranges::find_if(known, &Comparison::worse); harm != known.end()) {
        return roll_back(*harm);
    }
    if (phase() == RolloutPhase::running && may_step(known)) {
        return step_up();
    }
    if (overdue() && !was_overdue) {
        return {RolloutAction::Kind::overdue, weight(), explain()};
    }
    return {RolloutAction::Kind::none, weight(), {}};
}

void Rollout::watch(const ArmTotals& stable, const ArmTotals& canary) {
    state_.stable_requests += stable.requests;
    state_.canary_requests += canary.requests;
    for (std::size_t i = 0; i < kMeasures.size(); ++i) {
        state_.evidence.at(i).add(moments(stable, kMeasures.at(i)),
                                  moments(canary, kMeasures.at(i)));
    }
}

Comparison Rollout::compare(Measure measure, Margin margin) const {
    const auto& arms = state_.evidence.at(static_cast<std::size_t>(measure));
    Comparison result;
    result.measure = measure;
    result.margin = margin;
    result.stable = arms.stable();
    result.canary = arms.canary();
    const auto scaled = on_scale(measure, margin);
    result.evidence = measure == Measure::error_rate ? compare_rates(arms, scaled)
                                                     : compare_means(arms, scaled, kMinDeviation);
    const bool stable = begun(arms, false);
    const bool canary = begun(arms, true);
    result.required = measure == Measure::error_rate ||
                      (measure == Measure::cost ? stable && canary : stable || canary);
    result.worse = result.evidence.worse >= worse_at_;
    result.fine = result.evidence.fine >= fine_at_;
    return result;
}

std::vector<Comparison> Rollout::comparisons() const {
    std::vector<Comparison> all;
    for (const auto measure : kMeasures) {
        if (const auto margin = policy_.margin(measure)) {
            all.push_back(compare(measure, *margin));
        }
    }
    return all;
}

bool Rollout::may_step(const std::vector<Comparison>& comparisons) const {
    const auto& errors = state_.evidence.at(static_cast<std::size_t>(Measure::error_rate));
    return state_.in_step >= policy_.min_step_time &&
           errors.canary_count >= static_cast<double>(policy_.min_requests) &&
           std::ranges::all_of(
               comparisons, [](const Comparison& known) { return known.fine || !known.required; });
}

void Rollout::enter(RolloutPhase phase, std::uint32_t weight, std::string reason) {
    state_.phase = phase;
    state_.reason = std::move(reason);
    if (std::exchange(state_.weight, weight) != weight) {
        state_.in_step = Duration::zero();
        state_.evidence = {};
    }
}

RolloutAction Rollout::step_up() {
    const auto from = weight();
    const auto next = policy_.steps.at(step() + 1);
    const auto reason = "every measure was within its margin at " + std::to_string(from) + " %";
    if (next < 100) {
        enter(RolloutPhase::running, next, {});
        return {RolloutAction::Kind::stepped, next, reason};
    }
    enter(RolloutPhase::promoted, next,
          reason + ", after " + std::to_string(state_.canary_requests) + " canary requests");
    return {RolloutAction::Kind::promoted, next, state_.reason};
}

RolloutAction Rollout::roll_back(const Comparison& harm) {
    enter(RolloutPhase::rolled_back, 0,
          "at " + std::to_string(weight()) + " % the canary's " + describe(harm) +
              ", worse than the stable variant by more than the tolerated " +
              describe_margin(harm.measure, harm.margin.tolerated) + ", after " +
              std::to_string(state_.canary_requests) + " canary requests");
    return {RolloutAction::Kind::rolled_back, 0, state_.reason};
}

}  // namespace millrace::routing
