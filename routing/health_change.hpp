// What happened to an endpoint's health, as a value that the caller logs and counts.
//
// Health has two independent sides: active checks (healthy, unhealthy) and what its attempts said
// (healthy, ejected, half_open). A change belongs to one side, and its `from` and `to` are of that
// side. Thread-safety: plain values.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "config/base/clock.hpp"

namespace millrace::routing {

enum class HealthState : std::uint8_t {
    healthy,
    unhealthy,  ///< failed its active checks
    ejected,    ///< its attempts failed; nothing new is sent
    half_open,  ///< an ejection is over; it gets a growing share until it has proved itself
};

enum class HealthCause : std::uint8_t {
    checks_failed,
    shutting_down,  ///< it announced `Connection: close` and then failed a check
    check_passed,
    checks_off,            ///< the configuration no longer checks
    consecutive_failures,  ///< so many attempts failed in a row
    failure_percentage,    ///< too many of the window's attempts failed
    slow_first_token,      ///< far slower than its siblings
    trial_failed,          ///< an attempt failed while half-open
    ejection_over,
    trials_succeeded,
    too_few_endpoints,  ///< the pool shrank: so many can no longer be spared
};

inline constexpr std::array<std::string_view, 4> kHealthStateNames{"healthy", "unhealthy",
                                                                   "ejected", "half_open"};
inline constexpr std::array<std::string_view, 11> kHealthCauseNames{
    "checks_failed",        "shutting_down",      "check_passed",     "checks_off",
    "consecutive_failures", "failure_percentage", "slow_first_token", "trial_failed",
    "ejection_over",        "trials_succeeded",   "too_few_endpoints"};

constexpr std::string_view to_string(HealthState state) {
    return kHealthStateNames[static_cast<std::size_t>(state)];
}
constexpr std::string_view to_string(HealthCause cause) {
    return kHealthCauseNames[static_cast<std::size_t>(cause)];
}

struct HealthChange {
    std::string endpoint;  ///< its URL
    HealthState from = HealthState::healthy;
    HealthState to = HealthState::healthy;
    HealthCause cause = HealthCause::checks_failed;
    Instant until{};  ///< end of the ejection when `to` is ejected

    bool operator==(const HealthChange&) const = default;
};

}  // namespace millrace::routing
