// One request as one line of JSON.
//
// The encoder is the only way into the access log: it escapes every byte that could end a line,
// colour a terminal or break a parser (< 0x20, 0x7f-0x9f, U+2028, U+2029, invalid UTF-8), and cuts
// each text at 256 bytes. Prompts, answers, header values and query strings are not in a
// RequestRecord, so they cannot get here. Thread-safety: none; one encoder per thread, its buffer
// is reused.
#pragma once

#include <string>
#include <string_view>

#include "config/base/clock.hpp"
#include "metrics/settlement.hpp"

namespace millrace::gateway {

/// Longest text of a field, in bytes before escaping.
inline constexpr std::size_t kMaxLogField = 256;

class AccessLogEncoder {
public:
    /// The line without its newline; valid until the next call. `end` is the time the request
    /// ended.
    std::string_view encode(const metrics::RequestRecord& record, WallTime end);

private:
    std::string line_;
};

/// Appends `text` as a quoted JSON string under the rules above.
void append_json_text(std::string& out, std::string_view text);

/// Appends `2026-01-31T23:59:59.123Z`.
void append_rfc3339(std::string& out, WallTime time);

}  // namespace millrace::gateway
