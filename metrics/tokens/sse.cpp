#include "metrics/tokens/sse.hpp"

#include "metrics/tokens/find_byte.hpp"

namespace millrace::metrics {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

/// If `line` is the field `name`, the span of its value relative to the line: behind the colon and
/// one space.
bool is_field(std::string_view line, std::string_view name, Span& value) {
    if (!line.starts_with(name)) {
        return false;
    }
    if (line.size() == name.size()) {
        value = Span{line.size(), 0};
        return true;
    }
    if (line[name.size()] != ':') {
        return false;
    }
    std::size_t at = name.size() + 1;
    if (at < line.size() && line[at] == ' ') {
        ++at;
    }
    value = Span{at, line.size() - at};
    return true;
}

void read_line(std::string_view event, Span line, SseFields& fields) {
    const std::string_view text = event.substr(line.offset, line.length);
    Span value;
    if (is_field(text, "data", value)) {
        if (fields.data_lines++ == 0) {
            fields.data = Span{line.offset + value.offset, value.length};
        }
    } else if (is_field(text, "event", value)) {
        fields.event = text.substr(value.offset, value.length);
    }
}

template <class Visit>
void for_each_line(std::string_view event, bool first, Visit visit) {
    const char* const begin = event.data();
    const char* const end = begin + event.size();
    const char* at = begin + (first && event.starts_with(kByteOrderMark) ? 3 : 0);
    while (at != end) {
        const char* stop = find_either(at, end, '\n', '\r');
        visit(Span{static_cast<std::size_t>(at - begin), static_cast<std::size_t>(stop - at)});
        if (stop == end) {
            return;
        }
        at = stop + (*stop == '\r' && stop + 1 != end && stop[1] == '\n' ? 2 : 1);
    }
}

}  // namespace

std::size_t SseScanner::find_end(std::string_view bytes) {
    const char* const begin = bytes.data();
    const char* const end = begin + bytes.size();
    const char* at = begin;
    if (event_ended_ && at != end) {
        event_ended_ = false;
        lines_ = 0;
    }
    while (at != end) {
        if (after_cr_) {
            after_cr_ = false;
            if (*at == '\n') {
                ++at;
                continue;
            }
        }
        const char* stop = find_either(at, end, '\n', '\r');
        line_empty_ = line_empty_ && stop == at;
        if (stop == end) {
            return kNone;
        }
        at = stop + 1;
        after_cr_ = *stop == '\r';
        if (line_empty_) {
            event_ended_ = true;
            return static_cast<std::size_t>(at - begin);
        }
        line_empty_ = true;
        ++lines_;
    }
    return kNone;
}

bool SseScanner::take_line_feed(std::string_view bytes) {
    if (!event_ended_ || !after_cr_ || bytes.empty()) {
        return false;
    }
    after_cr_ = false;
    return bytes.front() == '\n';
}

SseFields read_sse_fields(std::string_view event, bool first) {
    SseFields fields;
    for_each_line(event, first, [&](Span line) { read_line(event, line, fields); });
    return fields;
}

SseFields read_single_line(std::string_view event, bool first) {
    std::size_t begin = first && event.starts_with(kByteOrderMark) ? 3 : 0;
    std::size_t end = event.size();
    while (end > begin && (event[end - 1] == '\n' || event[end - 1] == '\r')) {
        --end;
    }
    SseFields fields;
    read_line(event, Span{begin, end - begin}, fields);
    return fields;
}

std::vector<Span> data_lines_of(std::string_view event, bool first) {
    std::vector<Span> out;
    for_each_line(event, first, [&](Span line) {
        Span value;
        if (is_field(event.substr(line.offset, line.length), "data", value)) {
            out.push_back(Span{line.offset + value.offset, value.length});
        }
    });
    return out;
}

}  // namespace millrace::metrics
