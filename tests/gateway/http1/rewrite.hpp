// Helpers for tests and fuzz targets: write a parsed head again, compare two heads, and parse with
// the buffer cut in two and moved in between. Header-only, so that fuzz targets need no test
// library. Thread-safety: pure functions.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "config/base/error.hpp"
#include "gateway/http1/head_parser.hpp"
#include "gateway/http1/response_parser.hpp"
#include "gateway/http1/serializer.hpp"

namespace millrace::http1::test {

/// Bytes on the heap with nothing behind them, so that a sanitizer sees every read beyond the end.
class ExactBuffer {
public:
    explicit ExactBuffer(std::string_view bytes)
        : data_(std::make_unique<char[]>(bytes.size())), size_(bytes.size()) {
        std::copy(bytes.begin(), bytes.end(), data_.get());
    }
    std::string_view view() const { return {data_.get(), size_}; }

private:
    std::unique_ptr<char[]> data_;
    std::size_t size_;
};

inline bool same_fields(const FieldTable& a, const FieldTable& b) {
    return std::equal(a.all().begin(), a.all().end(), b.all().begin(), b.all().end(),
                      [](const HeaderField& x, const HeaderField& y) {
                          return x.name == y.name && x.value == y.value && x.known == y.known;
                      });
}

inline bool same_head(const RequestHead& a, const RequestHead& b) {
    return a.method == b.method && a.minor_version == b.minor_version &&
           a.method_text == b.method_text && a.target == b.target && a.path == b.path &&
           a.query == b.query && same_fields(a.fields, b.fields) && a.framing == b.framing &&
           a.keep_alive == b.keep_alive && a.expect_continue == b.expect_continue &&
           a.upgrade == b.upgrade && a.connection_names_fields == b.connection_names_fields;
}

inline bool same_head(const ResponseHead& a, const ResponseHead& b) {
    return a.status == b.status && a.minor_version == b.minor_version && a.reason == b.reason &&
           same_fields(a.fields, b.fields) && a.framing == b.framing &&
           a.keep_alive == b.keep_alive && a.need_eof == b.need_eof &&
           a.is_event_stream == b.is_event_stream &&
           a.connection_names_fields == b.connection_names_fields;
}

inline std::string rewrite(const RequestHead& head) {
    std::string out;
    HeadWriter writer(out);
    writer.request_line(head.method_text, head.target);
    if (head.minor_version == 0) {
        out[out.size() - 3] = '0';
    }
    for (const auto& field : head.fields.all()) {
        writer.field(field.name, field.value);
    }
    writer.end();
    return out;
}

inline std::string rewrite(const ResponseHead& head) {
    std::string out;
    HeadWriter writer(out);
    writer.status_line(head.status, head.reason);
    if (head.reason.empty()) {
        out.replace(12, std::string::npos, "\r\n");  // without the reason that the writer supplies
    }
    if (head.minor_version == 0) {
        out[7] = '0';
    }
    for (const auto& field : head.fields.all()) {
        writer.field(field.name, field.value);
    }
    writer.end();
    return out;
}

/// What a parser said in the end: need_more, complete or an error code.
struct Outcome {
    std::optional<ParseStatus> status;
    std::optional<Errc> error;
    std::size_t consumed = 0;
    bool operator==(const Outcome&) const = default;
};

template <class Parser>
Outcome outcome_of(Parser& parser, std::string_view bytes) {
    const auto result = parser.parse(bytes);
    if (!result) {
        return {.status = std::nullopt, .error = result.error().code};
    }
    const bool complete = *result == ParseStatus::complete;
    return {.status = *result, .error = std::nullopt, .consumed = complete ? parser.consumed() : 0};
}

/// Feeds ever longer prefixes, each at another address, `step` bytes at a time, until an outcome is
/// reached. `last` keeps the final buffer alive, since the views of parser.head() point into it.
template <class Parser>
Outcome feed_in_steps(Parser& parser, std::string_view bytes, std::size_t step,
                      std::optional<ExactBuffer>& last) {
    for (std::size_t size = 0;; size = std::min(size + step, bytes.size())) {
        last.emplace(bytes.substr(0, size));
        const auto outcome = outcome_of(parser, last->view());
        if (outcome.status != ParseStatus::need_more || size == bytes.size()) {
            return outcome;
        }
    }
}

}  // namespace millrace::http1::test
