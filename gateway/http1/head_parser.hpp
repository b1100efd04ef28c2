// Strict, zero-copy parser of request heads (RELIABILITY.md §2.2): what it accepts has exactly one
// reading.
//
// The caller appends bytes to one contiguous buffer, which may move between calls, and calls
// parse() with everything from the first byte of the head on. The parser remembers how far it
// looked as an offset, so byte-by-byte delivery costs linear time, and makes views only when the
// head is complete. Limits and illegal bytes are refused as soon as they are seen, and the outcome
// never depends on how the bytes were cut into reads. Thread-safety: none; one parser per
// connection. Sizes are bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "config/base/error.hpp"
#include "gateway/http1/field_table.hpp"
#include "gateway/http1/framing.hpp"
#include "gateway/http1/head_lines.hpp"
#include "gateway/http1/method.hpp"

namespace millrace::http1 {

/// Everything that a request says before its body. The views point into the buffer given to the
/// last parse().
struct RequestHead {
    Method method = Method::get;
    int minor_version = 1;         ///< of HTTP/1.x: 0 or 1
    std::string_view method_text;  ///< as received
    std::string_view target;       ///< origin-form, or `*` for OPTIONS
    std::string_view path;         ///< target up to `?`, not decoded
    std::string_view query;        ///< after `?`, without it; not decoded
    FieldTable fields;             ///< names with `_` are absent when the limits say drop
    Framing framing;
    bool keep_alive = true;  ///< HTTP/1.1 without `Connection: close` or a body behind GET or HEAD
    bool expect_continue = false;          ///< `Expect: 100-continue` and a body to come
    bool upgrade = false;                  ///< asked for an upgrade, which is ignored and stripped
    bool connection_names_fields = false;  ///< Connection lists more than its standard options

    const HeaderField* find(KnownField kind) const { return fields.find(kind); }
    std::string_view value(KnownField kind) const { return fields.value(kind); }

    /// Points every view at the same bytes elsewhere: `old_base` and `new_base` are the addresses
    /// of one byte of the head before and after the buffer moved. The old memory is not read.
    void rebase(const char* old_base, const char* new_base);
};

class HeadParser {
public:
    static constexpr unsigned kLeadingEmptyLines = 2;

    explicit HeadParser(const HeadLimits& limits = {}) : limits_(limits) {}

    /// `buffer` starts at the first byte after the previous message. After an error the connection
    /// must be closed; after `complete`, head() and consumed() are valid and reset() starts the
    /// next head.
    Result<ParseStatus> parse(std::string_view buffer);

    RequestHead& head() { return head_; }
    const RequestHead& head() const { return head_; }

    /// Bytes of the complete head, leading empty lines included; the body starts there.
    std::size_t consumed() const { return lines_.consumed(); }

    void reset();

    /// reset() that also gives memory back, for idle connections.
    void release();

    /// The fields of head() are not needed any more, and their memory is given back.
    void forget_fields();

private:
    Result<void> parse_start_line(std::string_view line);
    Result<void> parse_fields(std::string_view buffer);
    bool note_field(const HeaderField& field, bool first, std::optional<Error>& error);
    Result<void> finish();

    HeadLimits limits_;
    HeadLines lines_{kLeadingEmptyLines};
    RequestHead head_;
    FramingFields framing_;
    bool start_line_checked_ = false;
};

}  // namespace millrace::http1
