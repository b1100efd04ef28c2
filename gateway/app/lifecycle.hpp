// Lifecycle: what the process does between the first wish to stop and its end, as a pure state
// machine.
//
// serving → (SIGTERM) pre_stop: not ready, but everything is served while load balancers notice →
// closing: nothing is accepted, idle connections close, answers carry `Connection: close`, running
// requests finish → at the deadline aborting: what still runs gets the drain error → stopped. A
// second signal goes straight to aborting. An admin's drain is not part of it: it only makes the
// process unready and lets connections end, and can be taken back. Thread-safety: none; control
// thread.
#pragma once

#include <cstdint>

#include "config/base/clock.hpp"
#include "config/model.hpp"

namespace millrace::gateway {

/// What the caller must do next; several may be set.
struct LifecycleActions {
    bool drain_connections = false;  ///< workers: close idle, end the others after their answer
    bool stop_accepting = false;
    bool abort_requests = false;
    bool stop = false;  ///< the process ends with exit_code()
};

class Lifecycle {
public:
    enum class Phase : std::uint8_t { serving, pre_stop, closing, aborting, stopped };

    explicit Lifecycle(const config::Drain& limits) : limits_(limits) {}

    void set_limits(const config::Drain& limits) { limits_ = limits; }
    /// SIGTERM or SIGINT.
    LifecycleActions on_signal(Instant now, std::uint32_t live_requests);
    /// Time has passed, or a connection has ended.
    LifecycleActions advance(Instant now, std::uint32_t live_requests, std::uint32_t connections);
    /// An admin's drain or undrain; false once the process is stopping.
    bool set_drained(bool drained);

    Phase phase() const { return phase_; }
    bool is_ready() const { return phase_ == Phase::serving && !drained_; }
    bool is_stopping() const { return phase_ != Phase::serving; }
    bool is_drained() const { return drained_; }
    /// 0: everything ended by itself; 3: something had to be cut.
    int exit_code() const { return was_cut_ ? 3 : 0; }

private:
    /// How long the last words may take.
    static constexpr Duration kFarewell = std::chrono::seconds(2);

    LifecycleActions close(Instant now);
    LifecycleActions abort(Instant now, std::uint32_t live_requests);

    config::Drain limits_;
    Phase phase_ = Phase::serving;
    Instant next_{};
    bool drained_ = false;
    bool was_cut_ = false;
};

}  // namespace millrace::gateway
