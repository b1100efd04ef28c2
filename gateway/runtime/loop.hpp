// Loop: what all components of one worker share: the event loop, timers, buffers, time and
// randomness.
//
// One coarse Asio timer drives the wheel, and only while something is armed. How late that timer
// comes is the event loop's lag. Thread-safety: everything but post() and stop() belongs to the
// thread in run().
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <utility>

#include "config/base/clock.hpp"
#include "config/base/random.hpp"
#include "gateway/runtime/buffer.hpp"
#include "gateway/runtime/poller.hpp"
#include "gateway/runtime/timer_wheel.hpp"

namespace millrace::gateway {

class Loop {
public:
    /// `on_lag` is told how late each tick came; `clock` outlives the loop.
    Loop(const Clock& clock, std::uint64_t seed, std::function<void(Duration)> on_lag);
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;
    ~Loop() = default;

    /// Runs until stop(); handlers run on this thread.
    void run();
    void stop() { context_.stop(); }

    /// Runs `function` on the loop's thread, soon. Any thread.
    template <class Function>
    void post(Function function) {
        boost::asio::post(context_, std::move(function));
    }

    void arm(Timer& timer, Instant deadline);
    Instant now() const { return clock_.now(); }

    boost::asio::io_context& context() { return context_; }
    Poller& poller() { return poller_; }
    BufferPool& buffers() { return buffers_; }
    Random& random() { return random_; }

private:
    void schedule_tick();

    const Clock& clock_;
    std::function<void(Duration)> on_lag_;
    Random random_;
    BufferPool buffers_;
    boost::asio::io_context context_{1};
    Poller poller_{context_};
    boost::asio::basic_waitable_timer<std::chrono::steady_clock,
                                      boost::asio::wait_traits<std::chrono::steady_clock>,
                                      boost::asio::io_context::executor_type>
        ticker_{context_};
    TimerWheel wheel_;
    bool ticking_ = false;
};

}  // namespace millrace::gateway
