#include "routing/overload.hpp"

#include <algorithm>
#include <cmath>

namespace millrace::routing {
namespace {

constexpr double threshold(OverloadStep step) {
    return kOverloadThresholds[static_cast<std::size_t>(step)];
}

double below(OverloadStep step, double signal) {
    return std::min(signal, threshold(step) - 0.001);
}

/// Proportional up to the limit, where requests are refused; from there to twice the limit, where
/// nothing is accepted.
double lag_pressure(double part) {
    constexpr double kRefuse = threshold(OverloadStep::refuse);
    constexpr double kStop = threshold(OverloadStep::stop_accepting);
    return part <= 1 ? kRefuse * part : std::min(1.0, kRefuse + (kStop - kRefuse) * (part - 1));
}

OverloadStep step_for(double pressure) {
    auto step = OverloadStep::stop_accepting;
    while (step != OverloadStep::normal && pressure < threshold(step)) {
        step = static_cast<OverloadStep>(static_cast<unsigned>(step) - 1);
    }
    return step;
}

/// All of an idle timeout at the first step, a tenth of it where requests are refused.
std::uint32_t idle_percent(double pressure) {
    constexpr double kFirst = threshold(OverloadStep::shorten_idle);
    constexpr double kLast = threshold(OverloadStep::refuse);
    const double part = std::clamp((pressure - kFirst) / (kLast - kFirst), 0.0, 1.0);
    return static_cast<std::uint32_t>(std::lround(100 - 90 * part));
}

}  // namespace

OverloadPressure pressure_of(const OverloadSignals& signals) {
    const std::array<OverloadPressure, 4> all{
        OverloadPressure{below(OverloadStep::stop_accepting, signals.bytes), OverloadSignal::bytes},
        OverloadPressure{below(OverloadStep::refuse, signals.connections),
                         OverloadSignal::connections},
        OverloadPressure{std::min(signals.descriptors, 1.0), OverloadSignal::descriptors},
        OverloadPressure{lag_pressure(signals.loop_lag), OverloadSignal::loop_lag}};
    return *std::ranges::max_element(all, {}, &OverloadPressure::value);
}

Duration SustainedLag::add(Duration lag) {
    last_[next_++ % last_.size()] = lag;
    return std::ranges::min(last_);
}

std::optional<OverloadLadder::Change> OverloadLadder::update(const OverloadPressure& pressure,
                                                             Instant now) {
    if (std::isnan(pressure.value)) {
        return std::nullopt;
    }
    const auto before = step_;
    if (const auto wanted = step_for(pressure.value); wanted >= step_) {
        step_ = wanted;
        signal_ = pressure.signal;
        high_at_ = now;
    } else if (pressure.value >= threshold(step_) - kHysteresis) {
        high_at_ = now;
    } else if (now - high_at_ >= kHold) {
        step_ = static_cast<OverloadStep>(static_cast<unsigned>(step_) - 1);
        high_at_ = now;
    }
    word_.store(idle_percent(pressure.value) << 16U | static_cast<std::uint32_t>(signal_) << 8U |
                    static_cast<std::uint32_t>(step_),
                std::memory_order_relaxed);
    return step_ == before ? std::nullopt : std::optional(Change{before, step_, signal_});
}

}  // namespace millrace::routing
