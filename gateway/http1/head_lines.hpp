// The part that request and response heads share: cut the head into lines that end in CRLF, refuse
// every other control byte, and enforce the limits, all of it before anything is interpreted.
// Resumable by offset (see HeadParser). Thread-safety: none. Sizes are bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace millrace::http1 {

struct HeadLimits {
    std::size_t start_line = 8 * 1024;  ///< without its CRLF
    std::size_t header_block =
        32 * 1024;             ///< everything after the start line, the final empty line included
    std::size_t fields = 100;  ///< lines, dropped ones included; at most 65 000
    bool drop_underscores =
        false;  ///< ignore fields with `_` in their name instead of refusing the request
};

enum class ParseStatus : std::uint8_t { need_more, complete };

class HeadLines {
public:
    /// RFC 9112 §2.2 asks servers to tolerate an empty line before a request; responses have no
    /// such excuse.
    explicit HeadLines(unsigned leading_empty_lines) : leading_empty_lines_(leading_empty_lines) {}

    enum class Outcome : std::uint8_t {
        need_more,
        complete,
        bad_start,  ///< first byte is not a token character, or an illegal byte in the start line
        bad_line,   ///< illegal byte or bare CR or LF in the header block
        start_too_long,   ///< start line over its limit
        block_too_large,  ///< header block over its limit
        too_many_fields
    };

    /// `buffer` always starts at the same byte and only grows.
    Outcome scan(std::string_view buffer, const HeadLimits& limits);

    /// True when line 0 is available.
    bool has_start_line() const { return !ends_.empty(); }

    /// The start line without CRLF; needs has_start_line().
    std::string_view start_line(std::string_view buffer) const {
        return buffer.substr(start_, ends_.front() - start_);
    }

    /// Number of field lines seen so far.
    std::size_t field_lines() const { return ends_.empty() ? 0 : ends_.size() - 1; }

    /// Calls `visit(std::size_t number, std::string_view line)` for every field line, numbered from
    /// 1, without CRLF, until it returns false; valid after `complete`.
    template <class Visit>
    bool for_each_field_line(std::string_view buffer, Visit&& visit) const {
        std::size_t begin = ends_.front() + 2U;
        for (std::size_t number = 1; const std::uint32_t end : std::span(ends_).subspan(1)) {
            if (!visit(number, std::string_view(buffer.data() + begin, end - begin))) {
                return false;
            }
            begin = end + 2U;
            ++number;
        }
        return true;
    }

    /// Bytes up to and including the final empty line; valid after `complete`.
    std::size_t consumed() const { return consumed_; }

    void reset();
    void release();

private:
    // Each says `complete` when its part is done.
    Outcome find_start(std::string_view buffer);
    Outcome scan_start_line(std::string_view buffer, const HeadLimits& limits);
    Outcome scan_block(std::string_view buffer, const HeadLimits& limits);
    static Outcome end_line(const char* control, const char* end, Outcome bad);

    unsigned leading_empty_lines_;
    std::vector<std::uint32_t>
        ends_;                 ///< offset of the CR of the start line and of each field line
    unsigned skipped_ = 0;     ///< leading empty lines so far
    std::size_t start_ = 0;    ///< first byte of the start line
    std::size_t scanned_ = 0;  ///< everything before it is known to be legal
    std::size_t consumed_ = 0;
    bool started_ = false;
};

}  // namespace millrace::http1
