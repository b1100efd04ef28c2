#include "gateway/app/lifecycle.hpp"

namespace millrace::gateway {

LifecycleActions Lifecycle::on_signal(Instant now, std::uint32_t live_requests) {
    if (phase_ == Phase::serving) {
        if (limits_.pre_stop > Duration(0)) {
            phase_ = Phase::pre_stop;
            next_ = now + limits_.pre_stop;
            return {};
        }
        return close(now);
    }
    if (phase_ == Phase::pre_stop || phase_ == Phase::closing) {
        auto actions = abort(now, live_requests);
        actions.stop_accepting = true;
        actions.drain_connections = true;
        return actions;
    }
    return {};
}

LifecycleActions Lifecycle::close(Instant now) {
    phase_ = Phase::closing;
    next_ = now + limits_.deadline;
    return {.drain_connections = true, .stop_accepting = true};
}

LifecycleActions Lifecycle::abort(Instant now, std::uint32_t live_requests) {
    phase_ = Phase::aborting;
    next_ = now + kFarewell;
    was_cut_ = was_cut_ || live_requests > 0;
    return {.abort_requests = true};
}

LifecycleActions Lifecycle::advance(Instant now, std::uint32_t live_requests,
                                    std::uint32_t connections) {
    switch (phase_) {
        case Phase::serving:
        case Phase::stopped: return {};
        case Phase::pre_stop: return now >= next_ ? close(now) : LifecycleActions{};
        case Phase::closing:
            if (connections == 0) {
                phase_ = Phase::stopped;
                return {.stop = true};
            }
            return now >= next_ ? abort(now, live_requests) : LifecycleActions{};
        case Phase::aborting:
            if (connections == 0 || now >= next_) {
                phase_ = Phase::stopped;
                return {.stop = true};
            }
            return {};
    }
    return {};
}

bool Lifecycle::set_drained(bool drained) {
    if (is_stopping()) {
        return drained;  // draining is what it does anyway; taking it back is too late
    }
    drained_ = drained;
    return true;
}

}  // namespace millrace::gateway
