// One client connection: reads requests, lets Exchange render answers one after the other, sends,
// acts on faults, and notices at once when the client leaves. Driven by its Loop. Thread-safety:
// none; belongs to one loop.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/vllm_sim/exchange.hpp"
#include "bench/vllm_sim/out_buffer.hpp"
#include "bench/vllm_sim/request_reader.hpp"

namespace millrace::vllm_sim {

class Loop;

enum class Timer : std::uint8_t { token, release, idle, kCount };

class Connection {
public:
    Connection(Loop& loop, int fd, std::uint64_t serial);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    void on_event(std::uint32_t events);
    void on_timer(Timer timer);
    /// The batch model computed tokens up to `tokens`.
    void allow(std::uint32_t tokens);
    /// The server stops: ends now, or after the answer under way.
    void shut_down(bool at_once);

    int fd() const { return fd_; }
    std::uint64_t serial() const { return serial_; }
    bool closed() const { return closed_; }
    bool busy() const { return exchange_.has_value() || out_.waiting() > 0; }

    /// Bumped to invalidate scheduled timers; owned by Loop's bookkeeping.
    std::uint32_t timer_generation[static_cast<std::size_t>(Timer::kCount)] = {};

private:
    static constexpr std::size_t kReadAhead =
        1U << 20U;  ///< pipelined bytes kept while an answer is under way

    struct Unflushed {
        LogRecord record;
        std::uint64_t start = 0;
        std::uint64_t end = 0;
    };

    void read();
    void process(std::string_view data);
    void keep(std::string_view rest);
    void resume();
    void handle(const Incoming& incoming);
    void handle_inference(const Incoming& incoming);
    void refuse(const Incoming& incoming, const Refusal& refusal);
    void answer(const Incoming& incoming, int status, std::string_view body,
                std::string_view content_type, std::uint32_t retry_after = 0);
    void start_pacing();
    void on_token_timer();
    void after_render();
    void enter_live_set();
    void leave_live_set();
    void finish_exchange();
    void flush();
    void settle_flushed();
    void schedule_idle_close();
    void act_on_cut();
    void abort(std::string_view end, bool reset = false);
    void close(bool reset);
    void update_interest();

    Loop& loop_;
    int fd_;
    std::uint64_t serial_;
    std::string in_;  ///< received, not consumed
    RequestReader reader_;
    OutBuffer out_;
    std::optional<Exchange> exchange_;
    std::vector<Unflushed> unflushed_;
    Fault cut_fault_;          ///< of the answer that cuts this connection
    Instant next_due_;         ///< of the next token, with own pacing
    std::uint32_t paced_ = 0;  ///< tokens allowed so far, with own pacing
    std::uint32_t interest_;   ///< epoll events asked for
    bool processing_ = false;  ///< inside process(): in_ must not change
    bool release_scheduled_ = false;
    bool blocked_ = false;  ///< the socket's buffer is full
    bool stalled_ = false;  ///< by a fault: silent until the client leaves
    bool closing_ = false;  ///< no further request; close once everything is sent
    bool closed_ = false;
};

}  // namespace millrace::vllm_sim
