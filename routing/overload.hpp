// The overload ladder: what the whole process gives up, step by step, as one of its resources runs
// out (after Envoy's overload manager), and how it takes it back.
//
// A step is taken at once, and several at a time if need be; it is left when the pressure is two
// points below it, one step per second, so that what was turned away does not come back as a herd.
// A signal climbs only to the steps that relieve it: refusing requests frees no connection, and
// not accepting frees no memory, it would only turn a refusal with a reason into silence. Nothing
// that runs is cut: bytes are leased before they are held, so the budget cannot be overdrawn, and
// a client that reads too slowly for its lease to grow has its connection reset already. While
// requests are refused their priority does not count, because it comes from the model and the
// model from the body that is not read any more; lower bands are shed long before that by the
// queues. Thread-safety: update() on the control thread; actions() on any thread, one relaxed
// load.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "config/base/clock.hpp"

namespace millrace::routing {

/// Each includes the ones before it.
enum class OverloadStep : std::uint8_t {
    normal,
    shorten_idle,       ///< idle timeouts scaled down
    close_connections,  ///< `Connection: close` on every answer
    refuse,             ///< 503 `server_overloaded` before the body is read
    stop_accepting,     ///< connections wait in the kernel's backlog
    kCount
};

/// Pressure at which each step is taken.
inline constexpr std::array<double, static_cast<std::size_t>(OverloadStep::kCount)>
    kOverloadThresholds{0, 0.85, 0.92, 0.95, 0.97};
inline constexpr std::array<std::string_view, static_cast<std::size_t>(OverloadStep::kCount)>
    kOverloadStepNames{"normal", "shorten_idle", "close_connections", "refuse", "stop_accepting"};

constexpr std::string_view to_string(OverloadStep step) {
    return kOverloadStepNames[static_cast<std::size_t>(step)];
}

/// What runs out.
enum class OverloadSignal : std::uint8_t { bytes, connections, descriptors, loop_lag };

/// Used parts of what there is; 1 = all, 0 also where there is no limit.
struct OverloadSignals {
    double bytes = 0;        ///< of the byte budget
    double connections = 0;  ///< of the listener's limit
    double descriptors = 0;  ///< of RLIMIT_NOFILE
    double loop_lag = 0;     ///< SustainedLag of the slowest worker / its limit
};

struct OverloadPressure {
    double value = 0;
    OverloadSignal signal = OverloadSignal::bytes;  ///< which one it comes from
};

/// The largest of the signals, each held below the first step that would not relieve it. A lag at
/// its limit refuses, one of twice that stops accepting (what is left then is handshakes and
/// refusals).
OverloadPressure pressure_of(const OverloadSignals& signals);

/// The least of the last three lags: one late tick is a large request, not an overload.
class SustainedLag {
public:
    Duration add(Duration lag);

private:
    std::array<Duration, 3> last_{};
    std::size_t next_ = 0;
};

struct OverloadActions {
    OverloadStep step = OverloadStep::normal;
    OverloadSignal signal = OverloadSignal::bytes;  ///< why, when the step is not `normal`
    std::uint32_t idle_percent = 100;               ///< of every idle timeout

    bool at_least(OverloadStep wanted) const { return step >= wanted; }
    Duration scaled(Duration idle) const { return idle * idle_percent / 100; }
};

class OverloadLadder {
public:
    struct Change {
        OverloadStep from = OverloadStep::normal;
        OverloadStep to = OverloadStep::normal;
        OverloadSignal signal = OverloadSignal::bytes;  ///< that led here, or led up before
    };

    /// Every 100 ms or so; returns what changed, for the log. A pressure that is not a number
    /// leaves everything as it is.
    std::optional<Change> update(const OverloadPressure& pressure, Instant now);

    OverloadActions actions() const noexcept {
        const auto word = word_.load(std::memory_order_relaxed);
        return {static_cast<OverloadStep>(word & 0xffU),
                static_cast<OverloadSignal>(word >> 8U & 0xffU), word >> 16U};
    }

private:
    static constexpr double kHysteresis = 0.02;
    static constexpr Duration kHold = std::chrono::seconds(1);

    // The control thread's.
    OverloadStep step_ = OverloadStep::normal;
    OverloadSignal signal_ = OverloadSignal::bytes;
    Instant high_at_{};  // last time the pressure held this step, or a step was left

    std::atomic<std::uint32_t> word_{100U << 16U};
};

}  // namespace millrace::routing
