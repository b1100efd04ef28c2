// What a rollout remembers, and its form at rest: a small JSON text that is read back with
// suspicion. Evidence is part of it, so that a restart costs no request its meaning.
// Thread-safety: plain values.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "config/base/clock.hpp"
#include "routing/sequential_test.hpp"

namespace millrace::routing {

/// What is compared between the arms.
enum class Measure : std::uint8_t { error_rate, first_token, token_gap, cost };
inline constexpr std::array kMeasures{Measure::error_rate, Measure::first_token, Measure::token_gap,
                                      Measure::cost};

enum class RolloutPhase : std::uint8_t {
    waiting,      ///< not started: the canary gets nothing
    running,      ///< the canary's share grows by steps
    paused,       ///< the share stays; harm still rolls back
    promoted,     ///< the canary gets everything
    rolled_back,  ///< found to be worse: the canary gets nothing
    aborted,      ///< taken back by hand: the canary gets nothing
};

/// Stable snake_case names, for labels and JSON.
std::string_view to_string(Measure measure);
std::string_view to_string(RolloutPhase phase);

struct RolloutState {
    RolloutPhase phase = RolloutPhase::waiting;
    std::uint32_t weight = 0;           ///< the canary's share in percent
    Duration in_step{};                 ///< time that this share has been watched
    std::uint64_t stable_requests = 0;  ///< watched since the start
    std::uint64_t canary_requests = 0;
    std::string reason;  ///< a sentence: why this phase, or empty
    /// By Measure; of the current step only, because the load changes with the share.
    std::array<MatchedArms, kMeasures.size()> evidence;

    bool operator==(const RolloutState&) const = default;
};

/// `identity` names the rollout whose state it is.
std::string to_json(const RolloutState& state, std::string_view identity);

/// The state in `text`, or a sentence that says why it cannot be used: not our JSON, another
/// version or identity, or values that no rollout has.
std::expected<RolloutState, std::string> rollout_state_from_json(std::string_view text,
                                                                 std::string_view identity);

}  // namespace millrace::routing
