// Loop: what all components of one worker share: readiness, posted work, timers, buffers, time and
// randomness.
//
// A turn waits for socket events, delivers them, runs what was posted (through an Asio io_context)
// and advances the timer wheel, which ticks only while something is armed; without timers a loop
// sleeps until there is work. The event loop's lag is how late a tick comes and, because one turn
// takes only so many events, how long a wake-up of our own takes through the queue of ready ones.
// Thread-safety: post(), stop(), lag() and sockets() from any thread; everything else belongs to
// the thread in run().
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
    /// `on_lag` is told how late each tick and each wake-up of our own came; `clock` outlives the
    /// loop.
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

    /// How late the loop was lately; 0 while nothing is armed. Any thread.
    Duration lag() const { return Duration(lag_.load(std::memory_order_relaxed)); }
    /// Sockets that are open on this loop. Any thread.
    std::uint32_t sockets() const { return sockets_.load(std::memory_order_relaxed); }
    /// For Socket: one more (1) or one fewer (-1).
    void count_socket(int change) {
        sockets_.store(sockets() + static_cast<std::uint32_t>(change), std::memory_order_relaxed);
    }

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
    static constexpr Duration kProbe = std::chrono::milliseconds(100);

    void tick();
    void publish_lag();

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
    Instant next_probe_{};
    bool probing_ = false;  // a wake-up of ours is on its way, sent a kProbe before next_probe_
    Duration tick_lag_{};
    Duration probe_lag_{};
    std::atomic<Duration::rep> lag_{0};
    std::atomic<std::uint32_t> sockets_{0};  // written by the loop's thread only
    std::atomic<bool> stopped_{false};
};

}  // namespace millrace::gateway
