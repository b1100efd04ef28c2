#include "gateway/openai/stream_filter.hpp"

#include <algorithm>
#include <utility>

namespace millrace::openai {
namespace {

using metrics::Span;
using metrics::SseScanner;

constexpr std::string_view kDone = "[DONE]";

/// What to do with the usage member of an event.
struct Edit {
    bool drop = false;
    bool cut = false;
    Span span{};  // of the data
    std::string_view replacement{};
};

Edit edit_for(const EventShape& shape, ShowUsage show, bool null_placeholder) {
    using Usage = EventShape::Usage;
    if (show == ShowUsage::everything || !shape.is_readable || shape.usage == Usage::absent) {
        return {};
    }
    const bool is_final = shape.choices_empty && shape.usage == Usage::object;
    if (show == ShowUsage::nothing) {
        return is_final ? Edit{.drop = true} : Edit{.cut = true, .span = shape.usage_cut};
    }
    if (is_final || shape.usage != Usage::object) {
        return {};
    }
    if (null_placeholder) {
        return Edit{.cut = true, .span = shape.usage_value, .replacement = "null"};
    }
    return Edit{.cut = true, .span = shape.usage_cut};
}

}  // namespace

/// Appends views, joining those that touch inside the piece, so that a read without edits stays one
/// view.
class StreamFilter::Output {
public:
    Output(std::vector<std::string_view>& out, std::string_view piece)
        : out_(out), first_(out.size()), piece_(piece) {}

    void put(std::string_view bytes) {
        if (bytes.empty()) {
            return;
        }
        if (out_.size() > first_ && is_in_piece(bytes.data()) &&
            out_.back().data() + out_.back().size() == bytes.data() &&
            is_in_piece(out_.back().data())) {
            out_.back() = std::string_view(out_.back().data(), out_.back().size() + bytes.size());
            return;
        }
        out_.push_back(bytes);
    }

private:
    bool is_in_piece(const char* at) const {
        return std::greater_equal<>{}(at, piece_.data()) &&
               std::less<>{}(at, piece_.data() + piece_.size());
    }

    std::vector<std::string_view>& out_;
    std::size_t first_;
    std::string_view piece_;
};

/// Reads an oversized event as it passes. Only the first `data:` line is read, and only if it
/// begins within the part that was held, so that the result does not depend on how the bytes were
/// cut.
struct StreamFilter::Passing {
    explicit Passing(metrics::Dialect dialect) : usage(dialect) {}

    std::string name;
    bool has_data = false;
    metrics::ResponseUsage usage;
};

StreamFilter::StreamFilter(metrics::Dialect dialect, ShowUsage show)
    : dialect_(dialect), show_(show), reader_(dialect) {}
StreamFilter::~StreamFilter() = default;
StreamFilter::StreamFilter(StreamFilter&&) noexcept = default;
StreamFilter& StreamFilter::operator=(StreamFilter&&) noexcept = default;

void StreamFilter::join(Continuation& continuation) {
    continuation_ = &continuation;
    facts_.said = &continuation.said();
}

void StreamFilter::feed(std::string_view piece, std::vector<std::string_view>& out_views) {
    Output out(out_views, piece);
    if (continuation_ != nullptr) {
        continuation_->drop_events();
    }
    if (!held_.empty()) {
        std::string().swap(held_);  // an idle stream holds no buffer
    }
    std::size_t at = 0;
    if (scanner_.take_line_feed(piece)) {
        at = 1;
        out.put(dropped_last_ ? std::string_view{} : piece.substr(0, 1));
    }
    while (at < piece.size() && !interrupted_) {
        const std::string_view rest = piece.substr(at);
        std::size_t end = scanner_.find_end(rest);
        if (end == SseScanner::kNone) {
            hold(rest, out);
            return;
        }
        const std::size_t size = carry_.size() + end;
        end += scanner_.take_line_feed(rest.substr(end)) ? 1 : 0;
        at += end;
        std::string_view event = rest.substr(0, end);
        if (passing_) {
            pass(event, out);
            end_passing();
            continue;
        }
        if (!carry_.empty()) {
            carry_.append(event);
            held_ = std::exchange(carry_, {});
            event = held_;
        }
        if (size > kMaxHeldEvent) {
            begin_passing(event, out);
            end_passing();
        } else {
            on_event(event, scanner_.lines(), out);
        }
    }
}

void StreamFilter::finish(bool clean, std::vector<std::string_view>& out_views) {
    Output out(out_views, {});
    if (interrupted_) {
        return;
    }
    if (clean && passing_) {
        end_passing();
    }
    if (!carry_.empty() && (clean || is_end(carry_))) {
        held_ = std::exchange(carry_, {});
        constexpr std::size_t kUnknownLines = 2;
        on_event(held_, kUnknownLines, out);
    }
    carry_.clear();
    if (clean) {
        reader_.end(facts_);
    }
}

bool StreamFilter::is_end(std::string_view event) const {
    const auto fields = metrics::read_sse_fields(event, facts_.events == 0);
    const auto data = event.substr(fields.data.offset, fields.data.length);
    StreamFacts facts;
    return data.starts_with(kDone) ||
           (EventReader(dialect_).read(fields.event, data, facts).is_readable &&
            facts.saw_terminal);
}

metrics::ObservedTokens StreamFilter::observed(std::uint32_t choices_per_prompt,
                                               std::uint64_t prompt_estimate) const {
    return {.final_usage = facts_.final_usage,
            .choices = facts_.choices,
            .choices_per_prompt = choices_per_prompt,
            .prompt_estimate = prompt_estimate};
}

void StreamFilter::on_event(std::string_view event, std::size_t lines, Output& out) {
    dropped_last_ = false;
    if (lines == 0) {  // a blank line between events
        out.put(event);
        return;
    }
    const bool first = facts_.events++ == 0;
    const metrics::SseFields fields = lines == 1 ? metrics::read_single_line(event, first)
                                                 : metrics::read_sse_fields(event, first);
    if (fields.data_lines == 0) {
        out.put(event);
    } else if (fields.data_lines == 1) {
        on_data(event, fields, out);
    } else {
        on_split_data(event, fields, out);
    }
    facts_.forwarded_events += dropped_last_ ? 0 : 1;
}

EventShape StreamFilter::read(std::string_view name, std::string_view data) {
    EventShape shape;
    if (data.starts_with(kDone)) {
        facts_.saw_terminal = true;
        reader_.end(facts_);
    } else {
        shape = reader_.read(name, data, facts_);
        null_placeholder_ = null_placeholder_ || shape.usage == EventShape::Usage::null;
    }
    if (first_ == FirstEvent::pending) {
        first_ = shape.is_error ? FirstEvent::error : FirstEvent::normal;
    }
    return shape;
}

void StreamFilter::on_data(std::string_view event, const metrics::SseFields& fields, Output& out) {
    const auto data = event.substr(fields.data.offset, fields.data.length);
    const EventShape shape = read(fields.event, data);
    if (is_taken_over(shape, data, out)) {
        return;
    }
    const Edit edit = edit_for(shape, show_, null_placeholder_);
    if (edit.drop) {
        dropped_last_ = true;
        return;
    }
    if (!edit.cut) {
        out.put(event);
        return;
    }
    out.put(event.substr(0, fields.data.offset + edit.span.offset));
    out.put(edit.replacement);
    out.put(event.substr(fields.data.offset + edit.span.end()));
}

/// Events of a stream that may go on elsewhere, or goes on here.
bool StreamFilter::is_taken_over(const EventShape& shape, std::string_view data, Output& out) {
    constexpr unsigned kBackendsFault = 500;
    if (continuation_ == nullptr) {
        return false;
    }
    if (shape.is_error && first_ == FirstEvent::normal && facts_.error &&
        metrics::status_of(*facts_.error) >= kBackendsFault && continuation_->may_go_on(facts_)) {
        interrupted_ = true;
        dropped_last_ = true;
        return true;
    }
    if (!continuation_->splices()) {
        continuation_->begin(data);
        return false;
    }
    if (!shape.is_readable) {
        return false;
    }
    const auto event = continuation_->splice(data, show_);
    dropped_last_ = event.empty();
    out.put(event);
    return true;
}

/// Data over several lines is JSON with a line feed at each joint. It is read joined; a cut is made
/// line by line, which leaves the joints, and those are white space.
void StreamFilter::on_split_data(std::string_view event, const metrics::SseFields& fields,
                                 Output& out) {
    const std::vector<Span> lines = metrics::data_lines_of(event, facts_.events == 1);
    std::string joined;
    for (const Span line : lines) {
        joined += event.substr(line.offset, line.length);
        joined += '\n';
    }
    joined.pop_back();
    const EventShape shape = read(fields.event, joined);
    if (is_taken_over(shape, joined, out)) {
        return;
    }
    const Edit edit = edit_for(shape, show_, null_placeholder_);
    if (edit.drop) {
        dropped_last_ = true;
        return;
    }
    std::size_t written = 0;     // of the event
    std::size_t line_begin = 0;  // of the joined data
    std::string_view replacement = edit.replacement;
    for (const Span line : lines) {
        const std::size_t from = std::max(edit.span.offset, line_begin);
        const std::size_t to = std::min(edit.span.end(), line_begin + line.length);
        if (edit.cut && from < to) {
            out.put(event.substr(written, line.offset + (from - line_begin) - written));
            out.put(std::exchange(replacement, {}));
            written = line.offset + (to - line_begin);
        }
        line_begin += line.length + 1;
    }
    out.put(event.substr(written));
}

void StreamFilter::hold(std::string_view rest, Output& out) {
    if (passing_) {
        pass(rest, out);
    } else if (carry_.size() + rest.size() <= kMaxHeldEvent) {
        carry_.append(rest);
    } else if (carry_.empty()) {
        begin_passing(rest, out);
    } else {
        carry_.append(rest);
        held_ = std::exchange(carry_, {});
        begin_passing(held_, out);
    }
}

void StreamFilter::begin_passing(std::string_view prefix, Output& out) {
    passing_ = true;
    dropped_last_ = false;
    oversized_ = std::make_unique<Passing>(dialect_);
    const bool first = facts_.events++ == 0;
    ++facts_.oversized_events;
    ++facts_.forwarded_events;
    first_ = first_ == FirstEvent::pending ? FirstEvent::normal : first_;
    const metrics::SseFields fields =
        metrics::read_sse_fields(prefix.substr(0, kMaxHeldEvent), first);
    oversized_->name = fields.event.substr(0, 64);
    oversized_->has_data = fields.data_lines > 0;
    if (oversized_->has_data) {
        oversized_->usage.feed(prefix.substr(fields.data.offset));
    }
    out.put(prefix);
}

void StreamFilter::pass(std::string_view bytes, Output& out) {
    if (oversized_->has_data) {
        oversized_->usage.feed(bytes);
    }
    out.put(bytes);
}

void StreamFilter::end_passing() {
    passing_ = false;
    const metrics::ResponseUsage& usage = oversized_->usage;
    if (usage.finish()) {
        reader_.read_oversized(oversized_->name, usage.usage(), usage.error(), usage.id(), facts_);
    } else {
        ++facts_.unread_events;
        reader_.read_oversized(oversized_->name, std::nullopt, std::nullopt, {}, facts_);
    }
    oversized_.reset();
}

}  // namespace millrace::openai
