// AbortSignal: one request's "stop now", with the first reason that was given.
//
// Whoever waits for something on behalf of the request (the upstream attempt) registers a listener
// that ends the wait, usually by closing its socket; the waiting coroutine then resumes by itself
// and looks at the reason. Thread-safety: none; fired on the request's worker.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "config/base/error.hpp"

namespace millrace::gateway {

enum class AbortReason : std::uint8_t {
    none,
    client_closed,   ///< FIN or RST from the client while its request is active
    client_stalled,  ///< the client read nothing for the write-stall limit
    drain_deadline,  ///< the gateway must stop
    superseded,      ///< only of an attempt: another one of the same request answered first
};

/// The reason as an error, for logs and for the client if it is still there.
inline Error to_error(AbortReason reason) {
    switch (reason) {
        case AbortReason::drain_deadline:
            return {Errc::drain_deadline, Origin::internal,
                    "The gateway is shutting down and its drain deadline has passed."};
        case AbortReason::client_stalled:
            return {Errc::client_write_stalled, Origin::downstream,
                    "The client did not read its answer for the write-stall limit."};
        case AbortReason::none:
        case AbortReason::superseded:
        case AbortReason::client_closed: break;
    }
    return {Errc::client_closed, Origin::downstream, "The client closed the connection."};
}

class AbortSignal {
public:
    using Callback = void (*)(void* context);

    AbortSignal() = default;
    AbortSignal(const AbortSignal&) = delete;
    AbortSignal& operator=(const AbortSignal&) = delete;

    AbortReason reason() const { return reason_; }
    explicit operator bool() const { return reason_ != AbortReason::none; }

    /// Only the first reason counts.
    void fire(AbortReason reason) {
        if (reason_ != AbortReason::none) {
            return;
        }
        reason_ = reason;
        if (callback_ != nullptr) {
            callback_(context_);
        }
    }

    void reset() { reason_ = AbortReason::none; }

    /// Registers the one listener for its lifetime; fires at once when already aborted.
    class Listener {
    public:
        Listener(AbortSignal& signal, Callback callback, void* context) : signal_(signal) {
            previous_callback_ = std::exchange(signal.callback_, callback);
            previous_context_ = std::exchange(signal.context_, context);
            if (signal) {
                callback(context);
            }
        }
        Listener(const Listener&) = delete;
        Listener& operator=(const Listener&) = delete;
        ~Listener() {
            signal_.callback_ = previous_callback_;
            signal_.context_ = previous_context_;
        }

    private:
        AbortSignal& signal_;
        Callback previous_callback_;
        void* previous_context_;
    };

private:
    AbortReason reason_ = AbortReason::none;
    Callback callback_ = nullptr;
    void* context_ = nullptr;
};

/// Two signals that fire with a request's own, so that one of two attempts can be ended alone.
class AbortFork {
public:
    explicit AbortFork(AbortSignal& trunk)
        : trunk_(trunk),
          link_(trunk, [](void* self) { static_cast<AbortFork*>(self)->pass(); }, this) {}
    AbortFork(const AbortFork&) = delete;
    AbortFork& operator=(const AbortFork&) = delete;

    AbortSignal& branch(std::size_t index) { return branches_[index]; }
    /// Makes both branches as the trunk is; nobody may be listening to them.
    void renew() {
        for (auto& branch : branches_) {
            branch.reset();
        }
        pass();
    }

private:
    void pass() {
        if (trunk_) {
            for (auto& branch : branches_) {
                branch.fire(trunk_.reason());
            }
        }
    }

    AbortSignal& trunk_;
    std::array<AbortSignal, 2> branches_;
    AbortSignal::Listener link_;
};

}  // namespace millrace::gateway
