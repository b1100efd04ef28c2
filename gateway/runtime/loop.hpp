// Loop: what all components of one worker share: readiness, posted work, timers, buffers, time and
// randomness.
//
// A turn waits for socket events, delivers them, runs what was posted (through an Asio io_context)
// and advances the timer wheel, which ticks only while something is armed. How late a tick comes is
// the event loop's lag. Thread-safety: post() and stop() from any thread; everything else belongs
// to the thread in run().
#pragma once

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
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

    /// Runs until stop(); everything is called back on this thread.
    void run();
    void stop();
    /// One turn that waits at most `limit`.
    void turn(Duration limit);

    /// Runs `function` on the loop's thread, soon. Any thread.
    template <class Function>
    void post(Function function) {
        boost::asio::post(context_, std::move(function));
        poller_.wake();
    }

    void arm(Timer& timer, Instant deadline);

    /// Reads the clock.
    Instant now() {
        recent_ = clock_.now();
        return recent_;
    }
    /// The clock as it was last read, at most one batch of events ago: for deadlines.
    Instant recent() const { return recent_; }

    Poller& poller() { return poller_; }
    BufferPool& buffers() { return buffers_; }
    Random& random() { return random_; }

private:
    void tick();

    const Clock& clock_;
    std::function<void(Duration)> on_lag_;
    Random random_;
    BufferPool buffers_;
    Poller poller_;
    boost::asio::io_context context_{1};
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{
        context_.get_executor()};
    TimerWheel wheel_;
    Instant recent_;
    Instant next_tick_;
    std::atomic<bool> stopped_{false};
};

}  // namespace millrace::gateway
