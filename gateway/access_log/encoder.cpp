#include "gateway/access_log/encoder.hpp"

#include <array>
#include <charconv>
#include <chrono>
#include <optional>

#include "metrics/inline_text.hpp"
#include "metrics/labels.hpp"

namespace millrace::gateway {

namespace {

using metrics::AttemptRecord;
using metrics::RequestRecord;

/// A decoded character: its code point and how many bytes it took; size 0 when the bytes are not
/// UTF-8.
struct Character {
    std::uint32_t code = 0;
    std::size_t size = 0;
};

/// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
Character decode(std::string_view text) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const std::uint32_t lead = byte(0);
    if (lead < 0x80) {
        return {lead, 1};
    }
    const std::size_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead < 0xC2 || lead > 0xF4 || text.size() < size) {
        return {};
    }
    std::uint32_t code = lead & (0xFFU >> (size + 1));
    for (std::size_t i = 1; i < size; ++i) {
        if ((byte(i) & 0xC0U) != 0x80U) {
            return {};
        }
        code = (code << 6U) | (byte(i) & 0x3FU);
    }
    constexpr std::array<std::uint32_t, 5> kSmallest{0, 0, 0x80, 0x800, 0x10000};
    if (code < kSmallest[size] || (code >= 0xD800 && code <= 0xDFFF) || code > 0x10FFFF) {
        return {};
    }
    return {code, size};
}

constexpr bool must_escape(std::uint32_t code) {
    return code < 0x20 || (code >= 0x7F && code <= 0x9F) || code == 0x2028 || code == 0x2029;
}

void append_escape(std::string& out, std::uint32_t code) {
    constexpr std::string_view kHex = "0123456789abcdef";
    out += "\\u";
    for (const unsigned shift : {12U, 8U, 4U, 0U}) {
        out += kHex[(code >> shift) & 0xFU];
    }
}

constexpr bool is_plain(char c) {
    return c >= 0x20 && c < 0x7F && c != '"' && c != '\\';
}

/// Writes `"key":value` members; the first is written without a comma.
class Members {
public:
    explicit Members(std::string& out) : out_(out) { out_ += '{'; }

    void text(std::string_view name, std::string_view value) {
        key(name);
        append_json_text(out_, value);
    }
    /// Left out when empty.
    void optional_text(std::string_view name, std::string_view value) {
        if (!value.empty()) {
            text(name, value);
        }
    }
    void number(std::string_view name, std::uint64_t value) {
        key(name);
        append_number(value);
    }
    /// Left out when unknown: a reader must not take it for 0.
    void number(std::string_view name, std::optional<std::uint64_t> value) {
        if (value) {
            number(name, *value);
        }
    }
    void boolean(std::string_view name, bool value) {
        key(name);
        out_ += value ? "true" : "false";
    }
    /// Milliseconds with three decimals.
    void milliseconds(std::string_view name, std::optional<Duration> value) {
        if (!value) {
            return;
        }
        const auto us = microseconds(*value);
        key(name);
        append_number(us / 1000);
        out_ += '.';
        const auto rest = us % 1000;
        out_ += rest < 100 ? "0" : "";
        out_ += rest < 10 ? "0" : "";
        append_number(rest);
    }
    static std::uint64_t microseconds(Duration value) {
        return value.count() < 0 ? 0 : static_cast<std::uint64_t>(value.count()) / 1000;
    }
    void close() { out_ += '}'; }

    /// For members whose value is appended by the caller.
    void key(std::string_view name) {
        out_ += first_ ? "\"" : ",\"";
        first_ = false;
        out_ += name;
        out_ += "\":";
    }

private:
    void append_number(std::uint64_t value) {
        std::array<char, 20> digits;  // NOLINT: written before it is read
        const auto [end, error] =
            std::to_chars(digits.data(), digits.data() + digits.size(), value);
        out_.append(digits.data(), end);
    }

    std::string& out_;
    bool first_ = true;
};

void append_request(Members& members, const RequestRecord& record) {
    members.text("request_id", record.request_id.view());
    members.optional_text("tenant", record.tenant_name.view());
    members.optional_text("key_id", record.key_id.view());
    members.text("method", record.method.view());
    members.text("path", record.path.view());
    members.optional_text("api", record.api);
    members.optional_text("requested_model", record.requested_model);
    members.optional_text("model", record.model_name.view());
    members.optional_text("variant", record.variant_name.view());
    if (const AttemptRecord* attempt = record.attempts.last(); attempt != nullptr) {
        members.text("backend", attempt->backend_name.view());
        members.text("endpoint", attempt->endpoint.view());
        members.optional_text("endpoint_by", attempt->chosen_by);
    }
}

void append_result(Members& members, const RequestRecord& record) {
    members.number("status", record.status);
    if (const AttemptRecord* attempt = record.attempts.last();
        attempt != nullptr && attempt->status != 0) {
        members.number("upstream_status", attempt->status);
    }
    members.text("outcome", to_string(record.outcome));
    if (record.error) {
        members.text("error", to_string(*record.error));
    }
    members.text("committed", to_string(record.committed));
    members.boolean("stream", record.stream);
    members.milliseconds("ttft_ms", record.first_token);
    members.milliseconds("duration_ms", record.duration);
    members.milliseconds("queue_ms", record.queue_wait);
    if (record.overhead) {
        members.number("overhead_us", Members::microseconds(*record.overhead));
    }
}

void append_usage(Members& members, const RequestRecord& record) {
    members.number("prompt_tokens", record.tokens.prompt);
    members.number("cached_tokens", record.tokens.cached);
    members.number("completion_tokens", record.tokens.completion);
    members.number("reasoning_tokens", record.tokens.reasoning);
    members.text("exactness", metrics::kExactnessNames[metrics::exactness_index(record.exactness)]);
    members.number("bytes_in", record.bytes_in);
    members.number("bytes_out", record.bytes_out);
    std::uint64_t read = 0;
    for (const AttemptRecord& attempt : record.attempts.kept()) {
        read += attempt.upstream_bytes_read;
    }
    members.number("upstream_bytes_read", read);
    members.number("attempts", record.attempts.total());
    members.text("client_ip", record.client_ip.view());
    members.boolean("sdk_retry", record.sdk_retry);
}

/// What the attempts before the latest one, which the line describes, came to.
void append_earlier_attempts(Members& members, std::string& out, const RequestRecord& record) {
    const auto kept = record.attempts.kept();
    if (kept.size() < 2) {
        return;
    }
    members.key("earlier_attempts");
    out += '[';
    for (std::size_t i = 0; i + 1 < kept.size(); ++i) {
        const AttemptRecord& attempt = kept[i];
        out += i == 0 ? "" : ",";
        Members one(out);
        one.optional_text("backend", attempt.backend_name.view());
        one.optional_text("endpoint", attempt.endpoint.view());
        if (attempt.status != 0) {
            one.number("upstream_status", attempt.status);
        }
        one.text("outcome", to_string(attempt.outcome));
        one.number("completion_tokens", attempt.tokens.completion);
        one.close();
    }
    out += ']';
}

/// `value` in decimal with leading zeros.
void append_padded(std::string& out, unsigned value, int digits) {
    for (unsigned divisor = digits == 4   ? 1000
                            : digits == 3 ? 100
                                          : 10;
         divisor > 0; divisor /= 10) {
        out += static_cast<char>('0' + value / divisor % 10);
    }
}

}  // namespace

void append_json_text(std::string& out, std::string_view text) {
    text = metrics::utf8_prefix(text, kMaxLogField);
    out += '"';
    while (!text.empty()) {
        std::size_t plain = 0;
        while (plain < text.size() && is_plain(text[plain])) {
            ++plain;
        }
        out += text.substr(0, plain);
        text.remove_prefix(plain);
        if (text.empty()) {
            break;
        }
        const Character c = decode(text);
        if (c.size == 0) {
            out += "\\ufffd";  // one per byte that is not UTF-8
        } else if (must_escape(c.code)) {
            append_escape(out, c.code);
        } else if (c.code == '"' || c.code == '\\') {
            out += '\\';
            out += text.front();
        } else {
            out += text.substr(0, c.size);
        }
        text.remove_prefix(c.size == 0 ? 1 : c.size);
    }
    out += '"';
}

void append_rfc3339(std::string& out, WallTime time) {
    using std::chrono::days;
    using std::chrono::floor;
    using std::chrono::milliseconds;
    const auto whole = floor<milliseconds>(time);
    const auto day = floor<days>(whole);
    const std::chrono::year_month_day date{day};
    const auto of_day = static_cast<unsigned>((whole - day).count());
    append_padded(out, static_cast<unsigned>(static_cast<int>(date.year())), 4);
    out += '-';
    append_padded(out, static_cast<unsigned>(date.month()), 2);
    out += '-';
    append_padded(out, static_cast<unsigned>(date.day()), 2);
    out += 'T';
    append_padded(out, of_day / 3'600'000, 2);
    out += ':';
    append_padded(out, of_day / 60'000 % 60, 2);
    out += ':';
    append_padded(out, of_day / 1000 % 60, 2);
    out += '.';
    append_padded(out, of_day % 1000, 3);
    out += 'Z';
}

std::string_view AccessLogEncoder::encode(const metrics::RequestRecord& record, WallTime end) {
    line_.clear();
    Members members(line_);
    members.key("time");
    line_ += '"';
    append_rfc3339(line_, end);
    line_ += '"';
    append_request(members, record);
    append_result(members, record);
    append_usage(members, record);
    append_earlier_attempts(members, line_, record);
    members.close();
    return line_;
}

}  // namespace millrace::gateway
