#include "routing/rollout_state.hpp"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

namespace millrace::routing {
namespace {

using Json = nlohmann::json;

constexpr int kVersion = 1;
constexpr std::uint64_t kLongestStep = std::chrono::nanoseconds(std::chrono::years(100)).count();

constexpr std::array<std::string_view, kMeasures.size()> kMeasureNames{"error_rate", "first_token",
                                                                       "token_gap", "cost"};
constexpr std::array<std::string_view, 6> kPhaseNames{"waiting",  "running",     "paused",
                                                      "promoted", "rolled_back", "aborted"};

Json json_of(const Moments& moments) {
    return {moments.count, moments.sum, moments.sum_squares};
}

Json json_of(const MatchedArms& arms) {
    return {{"open_stable", json_of(arms.open_stable)},
            {"open_canary", json_of(arms.open_canary)},
            {"quiet_stable", arms.quiet_stable},
            {"quiet_canary", arms.quiet_canary},
            {"canary_count", arms.canary_count},
            {"canary_sum", arms.canary_sum},
            {"stable_sum", arms.stable_sum},
            {"stable_inverse", arms.stable_inverse},
            {"canary_squares", arms.canary_squares},
            {"canary_freedom", arms.canary_freedom},
            {"stable_squares", arms.stable_squares},
            {"stable_freedom", arms.stable_freedom}};
}

/// Reads members of the expected type; remembers that one was missing or of another type.
class Reader {
public:
    bool ok() const { return ok_; }

    const Json& member(const Json& object, std::string_view key) {
        static const Json kNothing;
        const auto found = object.is_object() ? object.find(key) : object.end();
        if (found == object.end()) {
            ok_ = false;
            return kNothing;
        }
        return *found;
    }
    double number(const Json& value) { return value.is_number() ? value.get<double>() : fail(0.0); }
    std::uint64_t count(const Json& value) {
        return value.is_number_unsigned() ? value.get<std::uint64_t>() : fail(std::uint64_t{0});
    }
    std::string text(const Json& value) {
        return value.is_string() ? value.get<std::string>() : fail(std::string());
    }
    Moments moments(const Json& value) {
        if (!value.is_array() || value.size() != 3) {
            return fail(Moments{});
        }
        return {count(value[0]), number(value[1]), number(value[2])};
    }
    MatchedArms arms(const Json& value) {
        MatchedArms arms;
        arms.open_stable = moments(member(value, "open_stable"));
        arms.open_canary = moments(member(value, "open_canary"));
        arms.quiet_stable = count(member(value, "quiet_stable"));
        arms.quiet_canary = count(member(value, "quiet_canary"));
        arms.canary_count = number(member(value, "canary_count"));
        arms.canary_sum = number(member(value, "canary_sum"));
        arms.stable_sum = number(member(value, "stable_sum"));
        arms.stable_inverse = number(member(value, "stable_inverse"));
        arms.canary_squares = number(member(value, "canary_squares"));
        arms.canary_freedom = number(member(value, "canary_freedom"));
        arms.stable_squares = number(member(value, "stable_squares"));
        arms.stable_freedom = number(member(value, "stable_freedom"));
        return arms.plausible() ? arms : fail(MatchedArms{});
    }
    RolloutPhase phase(const Json& value) {
        const auto* const found = std::ranges::find(kPhaseNames, text(value));
        return found == kPhaseNames.end() ? fail(RolloutPhase::waiting)
                                          : static_cast<RolloutPhase>(found - kPhaseNames.begin());
    }

private:
    template <class T>
    T fail(T instead) {
        ok_ = false;
        return instead;
    }
    bool ok_ = true;
};

/// A share that the phase can have.
bool fits(RolloutPhase phase, std::uint64_t weight) {
    switch (phase) {
        case RolloutPhase::running:
        case RolloutPhase::paused: return weight > 0 && weight < 100;
        case RolloutPhase::promoted: return weight == 100;
        default: return weight == 0;
    }
}

}  // namespace

std::string_view to_string(Measure measure) {
    return kMeasureNames.at(static_cast<std::size_t>(measure));
}

std::string_view to_string(RolloutPhase phase) {
    return kPhaseNames.at(static_cast<std::size_t>(phase));
}

std::string to_json(const RolloutState& state, std::string_view identity) {
    Json evidence = Json::object();
    for (std::size_t i = 0; i < kMeasureNames.size(); ++i) {
        evidence[std::string(kMeasureNames[i])] = json_of(state.evidence[i]);
    }
    const Json document = {{"version", kVersion},
                           {"rollout", identity},
                           {"phase", to_string(state.phase)},
                           {"weight", state.weight},
                           {"step_nanoseconds", state.in_step.count()},
                           {"stable_requests", state.stable_requests},
                           {"canary_requests", state.canary_requests},
                           {"reason", state.reason},
                           {"evidence", std::move(evidence)}};
    return document.dump(1, ' ', false, Json::error_handler_t::replace);
}

std::expected<RolloutState, std::string> rollout_state_from_json(std::string_view text,
                                                                 std::string_view identity) {
    const auto document = Json::parse(text, nullptr, false);
    Reader reader;
    if (!document.is_object()) {
        return std::unexpected("the stored rollout is not JSON");
    }
    if (const auto version = reader.count(reader.member(document, "version"));
        version != kVersion) {
        return std::unexpected("the stored rollout has version " + std::to_string(version) +
                               ", this release reads " + std::to_string(kVersion));
    }
    if (const auto other = reader.text(reader.member(document, "rollout")); other != identity) {
        return std::unexpected("the stored rollout is of " + other + ", not of " +
                               std::string(identity));
    }
    RolloutState state;
    state.phase = reader.phase(reader.member(document, "phase"));
    const auto weight = reader.count(reader.member(document, "weight"));
    const auto in_step = reader.count(reader.member(document, "step_nanoseconds"));
    state.stable_requests = reader.count(reader.member(document, "stable_requests"));
    state.canary_requests = reader.count(reader.member(document, "canary_requests"));
    state.reason = reader.text(reader.member(document, "reason"));
    const auto& evidence = reader.member(document, "evidence");
    for (std::size_t i = 0; i < kMeasureNames.size(); ++i) {
        state.evidence[i] = reader.arms(reader.member(evidence, kMeasureNames[i]));
    }
    if (!reader.ok() || !fits(state.phase, weight) || in_step > kLongestStep) {
        return std::unexpected("the stored rollout has missing or impossible values");
    }
    state.weight = static_cast<std::uint32_t>(weight);
    state.in_step = Duration(in_step);
    return state;
}

}  // namespace millrace::routing
