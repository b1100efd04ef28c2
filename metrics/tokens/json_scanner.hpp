// Incremental structural scanner for one JSON object, in blocks of 64 bytes with bit masks for
// quotes and brackets.
//
// It reports the members of the top-level object (and of members that the handler asks to descend
// into), checks that brackets match in kind and depth, that there is one object with only white
// space around it, and that the members it reports are separated as the grammar says. It does not
// validate scalars and nested values: what it does not check, the backend does. Memory is constant.
// The AVX2 kernel is chosen at run time; any other machine uses 64-bit words. Used for request
// bodies (a growing contiguous buffer) and for response bodies that arrive in pieces.
// Thread-safety: none; one per body. Units: byte offsets from the document's first byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "config/base/error.hpp"

namespace millrace::metrics {

enum class JsonKind : std::uint8_t { object, array, string, scalar };

/// Receives the members. All offsets count from the first byte that was fed.
class JsonHandler {
public:
    enum class Key : std::uint8_t {
        skip,     ///< not interested
        report,   ///< call on_value when the value is complete
        descend,  ///< if the value is an object, report its members as level + 1; otherwise as
                  ///< `report`
        stop      ///< the handler found an error: feed() fails
    };

    JsonHandler() = default;
    JsonHandler(const JsonHandler&) = delete;
    JsonHandler& operator=(const JsonHandler&) = delete;

    /// A key is complete; [begin, end) is what stands between its quotes. Level 1 is the top-level
    /// object.
    virtual Key on_key(std::size_t begin, std::size_t end, unsigned level) = 0;
    /// A reported value is complete, [begin, end) with quotes or brackets. False stops the scan.
    virtual bool on_value(JsonKind kind, std::size_t begin, std::size_t end, unsigned level) = 0;
    /// A string (at any depth) whose first character is the scanner's `watch` begins at `quote`.
    virtual void on_watched(std::size_t quote) { static_cast<void>(quote); }

protected:
    ~JsonHandler() = default;
};

class JsonScanner {
public:
    static constexpr unsigned kMaxDepth = 64;
    static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

    /// `max_depth` in 1…64. `watch` = 0: no watched strings.
    explicit JsonScanner(unsigned max_depth = kMaxDepth, char watch = '\0');

    /// Scans the next bytes. After a failure the scanner must not be fed again.
    Result<void> feed(std::string_view bytes, JsonHandler& handler);

    /// Fails unless exactly one complete object was fed.
    Result<void> finish() const;

    std::size_t consumed() const { return consumed_; }
    /// Offset just behind the top-level `{`; kNone before it was seen.
    std::size_t object_start() const { return object_start_; }
    bool complete() const { return state_ == State::done; }
    /// Where the key or the reported value begins that is unfinished at the end of what was fed;
    /// kNone if none. For feeders by pieces, which must keep its bytes.
    std::size_t open_token() const;

    /// Forces the portable kernel, so that tests compare both. Process-wide; not for production
    /// use.
    static void use_portable_kernel(bool portable);

private:
    enum class State : std::uint8_t {
        start,
        key_or_end,
        key,
        in_key,
        colon,
        value,
        in_string,
        in_scalar,
        in_nested,
        comma_or_end,
        done,
        failed
    };
    struct Loop;

    bool step(char byte, std::size_t at, JsonHandler& handler);
    bool begin_value(char byte, std::size_t at);
    bool end_value(std::size_t end, JsonHandler& handler);
    bool end_object();
    bool fail(Errc code, std::size_t at);

    unsigned max_depth_;
    unsigned depth_ = 0;
    unsigned level_ = 1;  // depth whose members are reported
    State state_ = State::start;
    JsonKind kind_ = JsonKind::scalar;
    JsonHandler::Key action_ = JsonHandler::Key::skip;
    Errc failure_ = Errc::bad_json;
    char watch_;
    bool in_string_ = false;     // the last byte fed lies inside a string
    bool next_escaped_ = false;  // the next byte follows an odd run of backslashes
    std::uint64_t kinds_ = 0;    // one bit per open bracket, 1 = square; the innermost is bit 0
    std::size_t consumed_ = 0;
    std::size_t object_start_ = kNone;
    std::size_t token_ = 0;  // where the current key or value begins
    std::size_t failed_at_ = 0;
};

}  // namespace millrace::metrics
