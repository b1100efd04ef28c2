#include "routing/rollout_text.hpp"

#include <array>
#include <cmath>
#include <cstdio>

namespace millrace::routing {
namespace {

/// Three significant digits.
std::string digits(double value) {
    std::array<char, 32> buffer{};
    const int size = std::snprintf(buffer.data(), buffer.size(), "%.3g", value);
    return {buffer.data(), static_cast<std::size_t>(size)};
}

std::string whole(double value) {
    return std::to_string(std::llround(value));
}

std::string name_of(Measure measure) {
    switch (measure) {
        case Measure::error_rate: return "error rate";
        case Measure::first_token: return "first token";
        case Measure::token_gap: return "token gap";
        case Measure::cost: return "cost per token";
    }
    return {};
}

std::string value_of(Measure measure, double mean) {
    if (measure == Measure::error_rate) {
        return digits(100 * mean) + " %";
    }
    if (measure == Measure::cost) {
        return "$" + digits(std::exp(mean));
    }
    const double milliseconds = 1000 * std::exp(mean);
    return (milliseconds < 1000 ? digits(milliseconds) : whole(milliseconds)) + " ms";
}

/// "+20.1 %", "-3 %", "+0 %".
std::string change_of(double relative) {
    const double percent = std::round(1000 * relative) / 10;
    return (percent < 0 ? "-" : "+") + digits(std::abs(percent)) + " %";
}

}  // namespace

std::string describe(const Comparison& comparison) {
    const auto& stable = comparison.stable;
    const auto& canary = comparison.canary;
    const auto measure = comparison.measure;
    if (canary.size == 0) {
        return name_of(measure) + " not yet comparable";
    }
    std::string text = name_of(measure) + ' ' + value_of(measure, canary.mean) + " against " +
                       value_of(measure, stable.mean) + " (";
    if (measure != Measure::error_rate) {
        text += change_of(std::expm1(canary.mean - stable.mean)) + ", ";
    }
    return text + "n = " + whole(canary.size) + " and " + whole(stable.size) + ')';
}

std::string describe_margin(Measure measure, double margin) {
    return digits(100 * margin) + (measure == Measure::error_rate ? " points" : " %");
}

std::string describe(Duration duration) {
    const double total = seconds(duration);
    if (total >= 7200) {
        return whole(std::floor(total / 3600)) + " h";
    }
    return total >= 120 ? whole(std::floor(total / 60)) + " min" : whole(std::floor(total)) + " s";
}

}  // namespace millrace::routing
