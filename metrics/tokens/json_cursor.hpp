// Pull reader over one complete, contiguous JSON text, for small things: usage objects, stream
// events, error objects.
//
// No document is built and nothing is allocated; keys come raw (a key with escapes never equals a
// plain name). Any break of the grammar that it meets sets failed(), and every call after that
// returns "nothing more". Scalars are delimited, not validated. Inline, because a stream event is
// read in about 100 ns. Thread-safety: none. Units: byte offsets into the text. Nesting inside a
// skipped value is limited to 64 levels.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "metrics/tokens/find_byte.hpp"

namespace millrace::metrics {

class JsonCursor {
public:
    static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

    explicit JsonCursor(std::string_view text)
        : begin_(text.data()), at_(text.data()), end_(text.data() + text.size()) {}

    /// Consumes `{`. False (and nothing consumed) if something else stands here.
    bool begin_object() { return begin('{'); }
    /// Consumes `[`. False (and nothing consumed) if something else stands here.
    bool begin_array() { return begin('['); }

    /// Moves to the next member of the object entered last: its key, with the cursor on the value.
    /// False at `}` (consumed) or on failure.
    bool next_member(std::string_view& key) {
        if (!next('}')) {
            return false;
        }
        if (at_ == end_ || *at_ != '"') {
            return fail();
        }
        const char* open = at_;
        if (!skip_string()) {
            return false;
        }
        key_offset_ = static_cast<std::size_t>(open - begin_);
        key = std::string_view(open + 1, static_cast<std::size_t>(at_ - open - 2));
        skip_space();
        if (at_ == end_ || *at_ != ':') {
            return fail();
        }
        ++at_;
        skip_space();
        return true;
    }

    /// Moves to the next element. False at `]` (consumed) or on failure.
    bool next_element() { return next(']'); }

    /// Consumes one value of any kind; its text, without white space around it. Empty on failure.
    std::string_view skip_value() {
        skip_space();
        const char* from = at_;
        if (failed_ || at_ == end_) {
            fail();
        } else if (*at_ == '"') {
            skip_string();
        } else if (*at_ == '{' || *at_ == '[') {
            skip_nested();
        } else {
            skip_scalar();
        }
        return failed_ ? std::string_view{}
                       : std::string_view(from, static_cast<std::size_t>(at_ - from));
    }

    /// Only white space is left, and nothing failed.
    bool at_end() {
        skip_space();
        return !failed_ && at_ == end_;
    }

    /// Takes up, on a text that begins with the same bytes, where another cursor stood after
    /// next_member(): on a value, its key at `key` and the comma before that at `comma`.
    void resume(std::size_t value, std::size_t key, std::size_t comma) {
        at_ = begin_ + value;
        key_offset_ = key;
        comma_offset_ = comma;
        first_ = false;
    }

    bool failed() const { return failed_; }
    std::size_t offset() const { return static_cast<std::size_t>(at_ - begin_); }
    /// Where the key of the last next_member began (its quote).
    std::size_t key_offset() const { return key_offset_; }
    /// Where the comma before it stood; kNone before a first member.
    std::size_t comma_offset() const { return comma_offset_; }

private:
    bool fail() {
        failed_ = true;
        return false;
    }

    void skip_space() {
        if (at_ == end_ || static_cast<unsigned char>(*at_) > ' ') {
            return;  // compact JSON, which is what servers write
        }
        while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t')) {
            ++at_;
        }
    }

    bool begin(char bracket) {
        skip_space();
        if (failed_ || at_ == end_ || *at_ != bracket) {
            return false;
        }
        ++at_;
        first_ = true;
        return true;
    }

    bool next(char closing) {
        if (failed_) {
            return false;
        }
        skip_space();
        if (at_ == end_) {
            return fail();
        }
        comma_offset_ = kNone;
        if (*at_ == closing) {
            ++at_;
            first_ = false;
            return false;
        }
        if (!first_) {
            if (*at_ != ',') {
                return fail();
            }
            comma_offset_ = offset();
            ++at_;
            skip_space();
        }
        first_ = false;
        return true;
    }

    bool skip_string() {
        const char* at = at_ + 1;
        while (at < end_) {
            at = find_either(at, end_, '"', '\\');
            if (at == end_) {
                break;
            }
            if (*at == '"') {
                at_ = at + 1;
                return true;
            }
            at += 2;
        }
        return fail();
    }

    /// The bytes of numbers and words; everything else ends a scalar.
    static constexpr auto kScalarBytes = [] {
        std::array<bool, 256> table{};
        for (const char byte : std::string_view("+-.0123456789abcdefghijklmnopqrstuvwxyz"
                                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ")) {
            table[static_cast<unsigned char>(byte)] = true;
        }
        return table;
    }();

    bool skip_scalar() {
        const char* at = at_;
        while (at != end_ && kScalarBytes[static_cast<unsigned char>(*at)]) {
            ++at;
        }
        const bool any = at != at_;
        at_ = at;
        return any || fail();
    }

    bool skip_nested();

    const char* begin_;
    const char* at_;
    const char* end_;
    bool first_ = false;  // a container was just entered: no comma before its first member
    bool failed_ = false;
    std::size_t key_offset_ = 0;
    std::size_t comma_offset_ = kNone;
};

}  // namespace millrace::metrics
