// Push decoder for chunked bodies: bytes go in as they arrive, payload comes out as views into
// them, nothing is copied or kept. Stricter than RFC 9112 §7.1: sizes of at most 8 significant hex
// digits, no whitespace around them, CRLF only, extensions of at most 256 bytes per chunk that must
// follow the grammar, and a bound on framing overhead so that a body of one-byte chunks is refused.
// Extensions and trailers are checked and discarded, never merged into the head: a trailer that
// looks like a header must not be able to say who the caller is. Thread-safety: none; one decoder
// per body. Sizes are bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "config/base/error.hpp"

namespace millrace::http1 {

struct ChunkLimits {
    std::uint32_t extension = 256;      ///< per chunk
    std::uint32_t trailers = 4 * 1024;  ///< whole trailer section, its final CRLF included
    std::uint64_t overhead_floor =
        16 * 1024;  ///< framing bytes that are always allowed; beyond it, half the payload
};

class ChunkDecoder {
public:
    /// Origin::upstream lifts the overhead bound: a long quiet event stream of short heartbeats is
    /// legitimate there.
    explicit ChunkDecoder(Origin origin = Origin::downstream, const ChunkLimits& limits = {})
        : limits_(limits), origin_(origin) {}

    /// Removes what it understood from the front of `input` and returns the next piece of payload,
    /// a view into it. An empty piece means that `input` is used up or done(). Fails with
    /// bad_chunk; then the connection must close.
    Result<std::string_view> next(std::string_view& input);

    /// Feeds all of `input` to next() and every piece to `sink(std::string_view)`; returns the
    /// bytes consumed, which is less than input.size() only when done().
    template <class Sink>
    Result<std::size_t> decode(std::string_view input, Sink&& sink) {
        const std::size_t size = input.size();
        while (!input.empty() && !done()) {
            auto piece = next(input);
            if (!piece) {
                return std::unexpected(std::move(piece.error()));
            }
            if (!piece->empty()) {
                sink(*piece);
            }
        }
        return size - input.size();
    }

    /// The last chunk and the trailers have been read; what follows belongs to the next message.
    bool done() const { return state_ == State::done; }

    /// Payload bytes announced by chunk sizes so far (those not yet arrived included): lets the
    /// caller refuse a body over its limit before it arrives.
    std::uint64_t announced() const { return announced_; }

    void reset();

private:
    enum class State : std::uint8_t {
        size_start,
        size,
        extension_name_start,
        extension_name,
        extension_value_start,
        extension_token,
        extension_quoted,
        extension_escape,
        extension_quote_end,
        size_lf,
        data,
        data_cr,
        data_lf,
        trailer_start,
        trailer_name,
        trailer_value,
        trailer_lf,
        end_lf,
        done
    };

    const char* step(char c);
    const char* step_size(char c);
    const char* step_extension(char c);
    const char* step_trailer(char c);
    const char* end_of_size_line();
    Error error(const char* what) const;

    ChunkLimits limits_;
    Origin origin_;
    State state_ = State::size_start;
    std::uint8_t size_digits_ = 0;
    std::uint32_t extension_ = 0;  ///< bytes of this chunk's extensions
    std::uint32_t trailers_ = 0;
    std::uint64_t remaining_ = 0;  ///< of this chunk
    std::uint64_t announced_ = 0;
    std::uint64_t overhead_ = 0;
};

}  // namespace millrace::http1
