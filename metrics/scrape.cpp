#include "metrics/scrape.hpp"

#include <charconv>
#include <cmath>
#include <limits>

namespace millrace::metrics {

namespace {

constexpr bool is_name_start(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':';
}
constexpr bool is_name_char(char c) {
    return is_name_start(c) || (c >= '0' && c <= '9');
}
constexpr bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

/// Reads one line from left to right; every take_ function advances only on success.
class Cursor {
public:
    explicit Cursor(std::string_view text) : text_(text) {}

    bool done() const { return at_ == text_.size(); }
    bool next_is(char c) const { return at_ < text_.size() && text_[at_] == c; }
    std::size_t position() const { return at_; }

    bool take(char c) {
        if (!next_is(c)) {
            return false;
        }
        ++at_;
        return true;
    }
    bool skip_blanks() {
        const std::size_t begin = at_;
        while (at_ < text_.size() && is_blank(text_[at_])) {
            ++at_;
        }
        return at_ > begin;
    }
    std::string_view take_name() {
        const std::size_t begin = at_;
        if (at_ < text_.size() && is_name_start(text_[at_])) {
            while (at_ < text_.size() && is_name_char(text_[at_])) {
                ++at_;
            }
        }
        return text_.substr(begin, at_ - begin);
    }
    std::string_view take_word() {
        const std::size_t begin = at_;
        while (at_ < text_.size() && !is_blank(text_[at_])) {
            ++at_;
        }
        return text_.substr(begin, at_ - begin);
    }
    /// The inside of a quoted string, escapes as written; nullopt when the quote is not closed.
    std::optional<std::string_view> take_quoted() {
        if (!next_is('"')) {
            return std::nullopt;
        }
        const std::size_t begin = at_ + 1;
        for (std::size_t i = begin; i < text_.size(); ++i) {
            if (text_[i] == '\\') {
                ++i;
            } else if (text_[i] == '"') {
                at_ = i + 1;
                return text_.substr(begin, i - begin);
            }
        }
        return std::nullopt;
    }

private:
    std::string_view text_;
    std::size_t at_ = 0;
};

struct RawLabel {
    std::string_view name;
    std::string_view value;  ///< escapes as written
};

/// `name = "value"`, blanks allowed around each part.
std::optional<RawLabel> take_label(Cursor& cursor) {
    cursor.skip_blanks();
    RawLabel label{cursor.take_name(), {}};
    cursor.skip_blanks();
    if (label.name.empty() || !cursor.take('=')) {
        return std::nullopt;
    }
    cursor.skip_blanks();
    const auto value = cursor.take_quoted();
    if (!value) {
        return std::nullopt;
    }
    label.value = *value;
    cursor.skip_blanks();
    return label;
}

std::string unescape(std::string_view raw) {
    std::string out;
    out.reserve(raw.size());
    for (std::size_t i = 0; i < raw.size(); ++i) {
        if (raw[i] != '\\' || i + 1 == raw.size()) {
            out += raw[i];
            continue;
        }
        ++i;
        if (raw[i] == 'n') {
            out += '\n';
        } else if (raw[i] == '\\' || raw[i] == '"') {
            out += raw[i];
        } else {  // not an escape of the format: both characters stand for themselves
            out += '\\';
            out += raw[i];
        }
    }
    return out;
}

std::optional<double> parse_number(std::string_view word) {
    if (word.starts_with('+')) {
        word.remove_prefix(1);
        if (word.starts_with('-') || word.starts_with('+')) {
            return std::nullopt;
        }
    }
    double value = 0;
    const char* end = word.data() + word.size();
    const auto [stop, error] = std::from_chars(word.data(), end, value);
    if (word.empty() || stop != end) {
        return std::nullopt;
    }
    if (error == std::errc::result_out_of_range) {
        // from_chars leaves the value alone; too large or too small is still a number.
        const bool negative_exponent =
            word.find("e-") != std::string_view::npos || word.find("E-") != std::string_view::npos;
        const double magnitude = negative_exponent ? 0.0 : std::numeric_limits<double>::infinity();
        return word.starts_with('-') ? -magnitude : magnitude;
    }
    return error == std::errc{} ? std::optional(value) : std::nullopt;
}

/// Milliseconds as an integer (Prometheus), or seconds with a fraction (OpenMetrics).
std::optional<std::int64_t> parse_timestamp(std::string_view word) {
    std::int64_t value = 0;
    const char* end = word.data() + word.size();
    if (const auto [stop, error] = std::from_chars(word.data(), end, value);
        error == std::errc{} && stop == end) {
        return value;
    }
    const auto fraction = parse_number(word);
    if (!fraction || !(std::abs(*fraction) < 9e15)) {
        return std::nullopt;
    }
    return std::llround(*fraction * 1000);
}

std::optional<std::string_view> take_labels(std::string_view line, Cursor& cursor) {
    const std::size_t begin = cursor.position();
    cursor.skip_blanks();
    while (!cursor.next_is('}')) {
        if (!take_label(cursor)) {
            return std::nullopt;
        }
        if (!cursor.take(',') && !cursor.next_is('}')) {
            return std::nullopt;
        }
        cursor.skip_blanks();
    }
    const std::string_view labels = line.substr(begin, cursor.position() - begin);
    cursor.take('}');
    return labels;
}

std::optional<Sample> parse_sample(std::string_view line) {
    Cursor cursor(line);
    Sample sample;
    sample.name = cursor.take_name();
    bool separated = cursor.skip_blanks();
    if (sample.name.empty()) {
        return std::nullopt;
    }
    if (cursor.take('{')) {
        const auto labels = take_labels(line, cursor);
        if (!labels) {
            return std::nullopt;
        }
        sample.labels = *labels;
        cursor.skip_blanks();
        separated = true;
    }
    const auto value = parse_number(cursor.take_word());
    if (!separated || !value) {
        return std::nullopt;
    }
    sample.value = *value;
    cursor.skip_blanks();
    if (cursor.done() || cursor.next_is('#')) {  // `# {trace_id="…"} 1` is an exemplar
        return sample;
    }
    sample.timestamp_ms = parse_timestamp(cursor.take_word());
    cursor.skip_blanks();
    if (!sample.timestamp_ms || !(cursor.done() || cursor.next_is('#'))) {
        return std::nullopt;
    }
    return sample;
}

std::string_view trim(std::string_view line) {
    while (!line.empty() && (is_blank(line.front()))) {
        line.remove_prefix(1);
    }
    while (!line.empty() && (is_blank(line.back()) || line.back() == '\r')) {
        line.remove_suffix(1);
    }
    return line;
}

}  // namespace

std::optional<std::string> Sample::label(std::string_view wanted) const {
    Cursor cursor(labels);
    while (const auto found = take_label(cursor)) {
        if (found->name == wanted) {
            return unescape(found->value);
        }
        cursor.take(',');
    }
    return std::nullopt;
}

Scrape parse_scrape(std::string_view text) {
    Scrape scrape;
    std::size_t number = 0;
    while (!text.empty()) {
        const std::size_t newline = text.find('\n');
        const std::string_view line = trim(text.substr(0, newline));
        text.remove_prefix(newline == std::string_view::npos ? text.size() : newline + 1);
        ++number;
        if (line.empty() || line.front() == '#') {
            continue;
        }
        if (const auto sample = parse_sample(line)) {
            scrape.samples.push_back(*sample);
        } else if (++scrape.bad_lines == 1) {
            scrape.first_bad_line = number;
        }
    }
    return scrape;
}

}  // namespace millrace::metrics
