// One direction of a connection through the fault proxy: reads from one socket, writes to the
// other, and on the way does to the bytes and to their end what its toxics say.
//
// Toxics are an argument of every step, so they may change while the connection lives. Bytes are
// never altered or reordered; what is cut is cut at the end. Up to 256 KiB are held back; beyond
// that the source is not read, so that its writer feels a slow reader as it would without a proxy.
// Thread-safety: none; a pipe belongs to the thread of its proxy.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "config/base/clock.hpp"
#include "config/base/random.hpp"

namespace millrace::test {

/// What happens to one direction; as written here, nothing does. Offsets count from the
/// connection's first byte in this direction.
struct Toxics {
    using Micros = std::chrono::microseconds;

    Micros latency{0};                 ///< each byte and the end arrive this much later
    Micros jitter{0};                  ///< and up to this much more; the order is kept
    std::size_t bytes_per_second = 0;  ///< 0 = no limit
    /// Bytes per segment; 0 = as they come. The kernel joins segments that have to wait for the
    /// congestion window, so only with a pause do all of them stay apart.
    std::size_t slice = 0;
    Micros slice_delay{0};  ///< pause after each segment
    /// Bytes are read and lost; their end still arrives. Once some are lost, so are all that
    /// follow, also without this toxic: a stream has no holes.
    bool swallow = false;
    /// The end of the source, by FIN or RST, is kept secret. With `swallow`: a dead network.
    bool half_open = false;
    Micros slow_close{0};  ///< a FIN arrives this much after the last byte
    /// FIN to both sides after that many bytes; with 0 instead of the first byte. What comes later
    /// is lost.
    std::optional<std::size_t> close_after{};
    /// The same with RST. Bytes that the receiver has not read yet may be lost with it.
    std::optional<std::size_t> reset_after{};
    std::optional<Micros> reset_in{};  ///< RST to both sides this long after the connection began
};

class FaultPipe {
public:
    enum class State {
        open,
        ended,        ///< the source's end was passed on, or is kept secret
        close,        ///< both sides are to see FIN, and nothing more
        reset,        ///< both sides are to see RST
        unreachable,  ///< the receiver takes nothing any more
    };

    /// Moves bytes between non-blocking sockets that the caller owns; adds those that it passes on
    /// to `total`.
    FaultPipe(int from, int to, std::atomic<std::uint64_t>& total);

    /// Does all that can be done at `now`. To be called when one of the sockets becomes ready, when
    /// due() comes, and when toxics change.
    State step(const Toxics& toxics, Instant now, Random& random);
    /// When to step without being asked; Instant::max() = never.
    Instant due() const { return due_; }
    /// The socket that is read from has failed after its FIN.
    void source_failed();
    /// From here on bytes are read and lost, and the end is passed to nobody.
    void mute();

private:
    enum class End { none, fin, reset };
    struct Chunk {
        std::string bytes;
        std::size_t sent = 0;
        Instant due;
    };

    bool read(const Toxics& toxics, Instant now, Random& random);
    State write(const Toxics& toxics, Instant now);
    State finish(const Toxics& toxics, Instant now);
    std::optional<State> cut(const Toxics& toxics) const;
    std::size_t next_piece(const Toxics& toxics, const Chunk& chunk) const;
    void pass(std::size_t count, const Toxics& toxics, Instant now);

    int from_;
    int to_;
    std::atomic<std::uint64_t>& total_;
    std::deque<Chunk> held_;
    std::size_t held_bytes_ = 0;
    std::size_t passed_ = 0;
    Instant arrival_{};       ///< of the last byte or end; nothing overtakes it
    Instant paused_until_{};  ///< by bandwidth and slices
    Instant due_ = Instant::max();
    End end_ = End::none;
    bool end_passed_ = false;
    bool muted_ = false;
    bool lost_ = false;  ///< bytes, and therefore all that follow
};

}  // namespace millrace::test
