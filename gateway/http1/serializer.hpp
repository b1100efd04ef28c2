// Writes heads and chunk headers into a std::string that the caller reuses. It only appends, so one
// string can carry several messages. Values come from parsed heads, which are clean, or from
// elsewhere, which may not be: a field with CR, LF, NUL or another control byte is written with
// spaces in their place, because one message must never become two. Thread-safety: none; one writer
// per string.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace millrace::http1 {

class HeadWriter {
public:
    explicit HeadWriter(std::string& out) : out_(out) {}

    /// `method SP target SP HTTP/1.1 CRLF`. False (and nothing written) if either has a byte
    /// outside 0x21-0x7e.
    bool request_line(std::string_view method, std::string_view target);

    /// `HTTP/1.1 SP status SP reason CRLF`, with the standard reason when none is given.
    void status_line(int status, std::string_view reason = {});

    /// One field line. False if the value had to be cleaned, or if the name is not a token (then
    /// nothing is written).
    bool field(std::string_view name, std::string_view value);
    void field(std::string_view name, std::uint64_t value);

    void content_length(std::uint64_t size) { field("content-length", size); }
    void chunked() { out_ += "transfer-encoding: chunked\r\n"; }
    void close() { out_ += "connection: close\r\n"; }

    /// The empty line.
    void end() { out_ += "\r\n"; }

private:
    std::string& out_;
};

/// `size-in-hex CRLF` in a small value, for a gather write: header, payload, kChunkEnd.
class ChunkHeader {
public:
    explicit ChunkHeader(std::uint64_t size);
    std::string_view view() const { return {text_.data() + begin_, text_.size() - begin_}; }

private:
    std::array<char, 18> text_{};
    std::size_t begin_ = 0;
};

inline constexpr std::string_view kChunkEnd = "\r\n";
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";
inline constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

/// Standard reason phrase, or a neutral one for statuses without.
std::string_view reason_phrase(int status);

}  // namespace millrace::http1
