// Client: one accepted connection with its buffers and its deadline, and the three ways of waiting
// on it.
//
// While a request is being answered the connection stays watched: pipelined bytes are kept (up to
// kAhead), and a FIN or RST fires the abort signal. An idle connection holds no buffer.
// Thread-safety: none; one worker.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "config/base/clock.hpp"
#include "gateway/runtime/abort_signal.hpp"
#include "gateway/runtime/buffer.hpp"
#include "gateway/runtime/loop.hpp"
#include "gateway/runtime/pieces.hpp"
#include "gateway/runtime/socket.hpp"
#include "gateway/runtime/task.hpp"
#include "gateway/runtime/timer_wheel.hpp"

namespace millrace::gateway {

enum class WaitResult : std::uint8_t {
    ready,
    timeout,
    closed  ///< by us, or the request was aborted
};

class Client {
public:
    static constexpr std::size_t kFirstRead = std::size_t{16} * 1024;
    static constexpr std::size_t kAhead = std::size_t{16} * 1024;

    Client(Loop& loop, int descriptor, std::string address);
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;
    ~Client() = default;

    Task<WaitResult> wait_readable(Instant deadline);
    /// Whoever waits, waits no longer than this.
    void hasten(Instant deadline);

    /// Writes all pieces; false when the client is gone or took nothing for `stall` (the abort
    /// signal says which). What waits for the client is held in `budget` meanwhile.
    Task<bool> write_all(Pieces pieces, Duration stall, ByteBudget& budget);

    /// From here on readiness means pipelined bytes or a hang-up, until stop_watching().
    void watch();
    void stop_watching();

    /// Closes at once; whoever waits resumes.
    void close(bool reset = false);
    /// Reads and discards until the client closes, at most `limit` long, so that what was written
    /// is not lost to a RST.
    Task<void> linger(Duration limit);

    Loop& loop;
    Socket socket;
    const std::string address;
    std::string identity;  ///< of the client certificate
    Buffer in;             ///< the request being read or answered
    Buffer ahead;          ///< bytes behind it
    AbortSignal abort;

private:
    void on_timer();
    void on_readable();

    Timer timer_;
    bool timed_out_ = false;
    bool watching_ = false;
};

}  // namespace millrace::gateway
