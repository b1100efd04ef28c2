#include "routing/rollout_report.hpp"

#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>

namespace millrace::routing {
namespace {

using Json = nlohmann::ordered_json;

std::string_view verdict(const Comparison& known) {
    if (known.worse) {
        return "worse";
    }
    if (known.fine) {
        return "fine";
    }
    return known.required ? "undecided" : "not_measured";
}

Json json_of(Measure measure, const Arm& arm) {
    if (arm.size == 0) {
        return nullptr;
    }
    return {{"value", measure == Measure::error_rate ? arm.mean : std::exp(arm.mean)},
            {"observations", arm.size}};
}

Json json_of(const Comparison& known) {
    return {{"measure", to_string(known.measure)},
            {"verdict", verdict(known)},
            {"canary", json_of(known.measure, known.canary)},
            {"stable", json_of(known.measure, known.stable)},
            {"tolerated", known.margin.tolerated},
            {"harm", known.margin.harm}};
}

}  // namespace

std::string report_json(const Rollout& rollout) {
    auto comparisons = Json::array();
    for (const auto& known : rollout.comparisons()) {
        comparisons.push_back(json_of(known));
    }
    const auto& names = rollout.names();
    const auto& state = rollout.state();
    const Json report = {{"model", names.model},
                         {"stable", names.stable},
                         {"canary", names.canary},
                         {"phase", to_string(state.phase)},
                         {"weight_percent", state.weight},
                         {"step_seconds", std::floor(seconds(state.in_step))},
                         {"overdue", rollout.overdue()},
                         {"canary_requests", state.canary_requests},
                         {"stable_requests", state.stable_requests},
                         {"comparisons", std::move(comparisons)},
                         {"explanation", rollout.explain()}};
    return report.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace millrace::routing
