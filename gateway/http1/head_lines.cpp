#include "gateway/http1/head_lines.hpp"

#include <algorithm>

#include "gateway/http1/characters.hpp"

namespace millrace::http1 {
namespace {

constexpr std::size_t kUsualLines = 24;  // what an SDK sends

}  // namespace

HeadLines::Outcome HeadLines::find_start(std::string_view buffer) {
    while (start_ < buffer.size() && buffer[start_] == '\r' && skipped_ < leading_empty_lines_) {
        if (start_ + 1 == buffer.size()) {
            return Outcome::need_more;
        }
        if (buffer[start_ + 1] != '\n') {
            return Outcome::bad_start;
        }
        start_ += 2;
        ++skipped_;
    }
    if (start_ == buffer.size()) {
        return Outcome::need_more;
    }
    if (!is_token_char(buffer[start_])) {
        return Outcome::bad_start;
    }
    started_ = true;
    scanned_ = start_;
    return Outcome::complete;
}

HeadLines::Outcome HeadLines::scan(std::string_view buffer, const HeadLimits& limits) {
    if (!started_) {
        if (const auto outcome = find_start(buffer); outcome != Outcome::complete) {
            return outcome;
        }
    }
    if (ends_.empty()) {
        if (const auto outcome = scan_start_line(buffer, limits); outcome != Outcome::complete) {
            return outcome;
        }
    }
    return scan_block(buffer, limits);
}

HeadLines::Outcome HeadLines::end_line(const char* control, const char* end, Outcome bad) {
    if (*control != '\r') {
        return bad;
    }
    if (control + 1 == end) {
        return Outcome::need_more;
    }
    return control[1] == '\n' ? Outcome::complete : bad;
}

// In both scans a line end at or beyond `limit` is over the limit, so nothing from there on is
// looked at: the outcome does not depend on how much more happens to be in the buffer.

HeadLines::Outcome HeadLines::scan_start_line(std::string_view buffer, const HeadLimits& limits) {
    const std::size_t limit = start_ + limits.start_line + 1;
    const std::size_t stop = std::min(buffer.size(), limit);
    const char* const base = buffer.data();
    scanned_ = static_cast<std::size_t>(find_control(base + scanned_, base + stop) - base);
    if (scanned_ == stop) {
        return stop == limit ? Outcome::start_too_long : Outcome::need_more;
    }
    const auto outcome = end_line(base + scanned_, base + buffer.size(), Outcome::bad_start);
    if (outcome == Outcome::complete) {
        ends_.reserve(kUsualLines);
        ends_.push_back(static_cast<std::uint32_t>(scanned_));
        scanned_ += 2;
    }
    return outcome;
}

HeadLines::Outcome HeadLines::scan_block(std::string_view buffer, const HeadLimits& limits) {
    const std::size_t limit = ends_.front() + 2 + std::max<std::size_t>(limits.header_block, 2) - 1;
    const std::size_t stop = std::min(buffer.size(), limit);
    const char* const base = buffer.data();
    const char* const end = base + buffer.size();
    ControlBytes control(base + std::min(scanned_, stop), base + stop);
    std::size_t scanned = scanned_;
    std::size_t line_begin = ends_.back() + 2U;
    Outcome outcome = Outcome::need_more;
    for (;;) {
        const char* const found = control.next();
        const auto at = static_cast<std::size_t>(found - base);
        if (at == stop) {
            scanned = std::max(scanned, stop);
            outcome = stop == limit ? Outcome::block_too_large : Outcome::need_more;
            break;
        }
        if (at < scanned) {
            continue;  // the LF of the line before
        }
        scanned = at;
        outcome = end_line(found, end, Outcome::bad_line);
        if (outcome != Outcome::complete) {
            break;
        }
        control.skip_following();
        scanned = at + 2;
        if (at == line_begin) {
            consumed_ = scanned;
            break;
        }
        if (ends_.size() > limits.fields) {
            outcome = Outcome::too_many_fields;
            break;
        }
        ends_.push_back(static_cast<std::uint32_t>(at));
        line_begin = scanned;
    }
    scanned_ = scanned;
    return outcome;
}

void HeadLines::reset() {
    ends_.clear();
    skipped_ = 0;
    start_ = 0;
    scanned_ = 0;
    consumed_ = 0;
    started_ = false;
}

void HeadLines::release() {
    reset();
    ends_.shrink_to_fit();
}

}  // namespace millrace::http1
