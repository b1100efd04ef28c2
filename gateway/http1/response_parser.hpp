// Strict, zero-copy parser of upstream response heads. Works as HeadParser does (one contiguous
// buffer that may move, resumable, linear); every failure is upstream_bad_response with
// Origin::upstream and becomes a 502.
//
// Interim responses are shown, not hidden: after `complete` with head().informational(), drop
// consumed() bytes and call parse() again on the rest. The parser counts them (at most 8) and
// refuses 101, because nothing was upgraded. Thread-safety: none; one parser per upstream
// connection. Sizes are bytes.
#pragma once

#include <cstddef>
#include <string_view>

#include "config/base/error.hpp"
#include "gateway/http1/field_table.hpp"
#include "gateway/http1/framing.hpp"
#include "gateway/http1/head_lines.hpp"

namespace millrace::http1 {

/// The views point into the buffer given to the last parse().
struct ResponseHead {
    int status = 0;
    int minor_version = 1;
    std::string_view reason;  ///< may be empty
    FieldTable fields;
    Framing framing;
    bool keep_alive =
        true;  ///< the connection may carry another request once the body and nothing more was read
    bool need_eof = false;                 ///< the body ends with the connection
    bool is_event_stream = false;          ///< Content-Type is text/event-stream
    bool connection_names_fields = false;  ///< Connection lists more than its standard options

    bool informational() const { return status < 200; }
    std::string_view content_type() const { return fields.value(KnownField::content_type); }
    const HeaderField* find(KnownField kind) const { return fields.find(kind); }
    std::string_view value(KnownField kind) const { return fields.value(kind); }

    /// As RequestHead::rebase.
    void rebase(const char* old_base, const char* new_base);
};

class ResponseParser {
public:
    static constexpr int kMaxInformational = 8;

    /// `limits.drop_underscores` is not used: response fields with `_` are legal and pass.
    explicit ResponseParser(const HeadLimits& limits = {}) : limits_(limits) {}

    /// Starts the next response. `to_head`: it answers a HEAD request and so has no body.
    void reset(bool to_head = false);

    Result<ParseStatus> parse(std::string_view buffer);

    ResponseHead& head() { return head_; }
    const ResponseHead& head() const { return head_; }

    /// Bytes of the complete head; the body, or the next head after an informational one, starts
    /// there.
    std::size_t consumed() const { return lines_.consumed(); }

    /// reset() that also gives memory back, for idle connections.
    void release();

    /// The fields of head() are not needed any more, and their memory is given back.
    void forget_fields();

private:
    Result<void> parse_status_line(std::string_view line);
    Result<void> parse_fields(std::string_view buffer);
    Result<void> finish();
    void start_head();

    HeadLimits limits_;
    HeadLines lines_{0};
    ResponseHead head_;
    FramingFields framing_;
    int informational_ = 0;
    bool to_head_ = false;
    bool complete_ = false;
};

}  // namespace millrace::http1
