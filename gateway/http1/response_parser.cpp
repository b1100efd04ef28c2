#include "gateway/http1/response_parser.hpp"

#include <string>

#include "config/base/assert.hpp"
#include "gateway/http1/characters.hpp"
#include "gateway/http1/field_line.hpp"
#include "gateway/http1/hop_by_hop.hpp"

namespace millrace::http1 {
namespace {

std::unexpected<Error> bad(std::string detail) {
    return failure(Errc::upstream_bad_response, Origin::upstream, std::move(detail));
}

std::unexpected<Error> scan_error(HeadLines::Outcome outcome, const HeadLimits& limits) {
    switch (outcome) {
        case HeadLines::Outcome::bad_start:
            return bad("The backend's status line is not HTTP/1.1, or contains a control byte.");
        case HeadLines::Outcome::start_too_long:
            return bad("The backend's status line is longer than " +
                       std::to_string(limits.start_line) + " bytes.");
        case HeadLines::Outcome::block_too_large:
            return bad("The backend's header block is larger than " +
                       std::to_string(limits.header_block) + " bytes.");
        case HeadLines::Outcome::too_many_fields:
            return bad("The backend's response has more than " + std::to_string(limits.fields) +
                       " header lines.");
        default:
            return bad(
                "A header line of the backend contains a control byte, or a CR or LF that does not "
                "end a line.");
    }
}

bool is_event_stream_type(std::string_view content_type) {
    return equals_ignoring_case(trim(content_type.substr(0, content_type.find(';'))),
                                "text/event-stream");
}

}  // namespace

void ResponseHead::rebase(const char* old_base, const char* new_base) {
    reason = rebased(reason, old_base, new_base);
    fields.rebase(old_base, new_base);
}

void ResponseParser::reset(bool to_head) {
    start_head();
    informational_ = 0;
    to_head_ = to_head;
}

void ResponseParser::start_head() {
    lines_.reset();
    head_.fields.clear();
    head_.status = 0;
    head_.reason = {};
    head_.framing = {};
    head_.keep_alive = true;
    head_.need_eof = head_.is_event_stream = head_.connection_names_fields = false;
    framing_ = {};
    complete_ = false;
}

Result<ParseStatus> ResponseParser::parse(std::string_view buffer) {
    if (complete_) {
        MILLRACE_ASSERT(head_.informational());
        start_head();
    }
    const auto outcome = lines_.scan(buffer, limits_);
    if (outcome == HeadLines::Outcome::need_more) {
        return ParseStatus::need_more;
    }
    if (outcome != HeadLines::Outcome::complete) {
        return scan_error(outcome, limits_);
    }
    if (auto line = parse_status_line(lines_.start_line(buffer)); !line) {
        return std::unexpected(std::move(line.error()));
    }
    if (auto fields = parse_fields(buffer); !fields) {
        return std::unexpected(std::move(fields.error()));
    }
    if (auto finished = finish(); !finished) {
        return std::unexpected(std::move(finished.error()));
    }
    complete_ = true;
    return ParseStatus::complete;
}

Result<void> ResponseParser::parse_status_line(std::string_view line) {
    // `HTTP/1.1 200` with or without the space and reason: servers omit both, and no reader
    // understands it differently.
    const bool well_formed = line.size() >= 12 && line.starts_with("HTTP/1.") &&
                             (line[7] == '0' || line[7] == '1') && line[8] == ' ' &&
                             is_digit(line[9]) && is_digit(line[10]) && is_digit(line[11]) &&
                             (line.size() == 12 || line[12] == ' ');
    if (!well_formed) {
        return bad("The backend's status line is not `HTTP/1.1 status reason`.");
    }
    head_.minor_version = line[7] - '0';
    head_.status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
    head_.reason = line.size() > 13 ? line.substr(13) : std::string_view{};
    if (head_.status < 100 || head_.status > 599) {
        return bad("The backend answered with status " + std::to_string(head_.status) +
                   ", which is outside 100 to 599.");
    }
    if (head_.status == 101) {
        return bad("The backend switched protocols although no upgrade was requested.");
    }
    if (head_.informational() && ++informational_ > kMaxInformational) {
        return bad("The backend sent more than " + std::to_string(kMaxInformational) +
                   " interim responses.");
    }
    return {};
}

Result<void> ResponseParser::parse_fields(std::string_view buffer) {
    const char* const readable_end = buffer.data() + lines_.consumed();
    head_.fields.reserve(lines_.field_lines());
    std::size_t bad_line = 0;
    bool repeats_content_type = false;
    lines_.for_each_field_line(buffer, [&](std::size_t number, std::string_view line) {
        HeaderField& field = head_.fields.append();
        if (parse_field_line(line, readable_end, field) == FieldLine::bad) {
            bad_line = number;
            return false;
        }
        const bool first = head_.fields.index_last();
        const KnownField kind = known(field);
        if (!framing_.note(kind, field.value) && kind == KnownField::content_type) {
            repeats_content_type = repeats_content_type || !first;
        }
        return true;
    });
    if (bad_line > 0) {
        return bad("Header line " + std::to_string(bad_line) +
                   " of the backend is not `name: value`.");
    }
    // Other duplicates (Server and Date are common behind uvicorn) change nothing for us.
    if (repeats_content_type) {
        return bad("The backend sent Content-Type more than once.");
    }
    return {};
}

Result<void> ResponseParser::finish() {
    const auto framing = response_framing(framing_, head_.minor_version, head_.status, to_head_);
    if (!framing) {
        return std::unexpected(framing.error());
    }
    head_.framing = *framing;
    head_.need_eof = framing->kind == BodyKind::until_close;
    const auto options = connection_options(head_.fields);
    if (!options) {
        return bad("The backend's Connection header is not a list of at most 32 tokens.");
    }
    head_.connection_names_fields = options->names_fields;
    // A 204 that announces a body may be followed by one, so that connection is not used again.
    const bool contradicts_204 =
        head_.status == 204 && (framing_.transfer_encoding_lines > 0 ||
                                parse_content_length(framing_.content_length).value_or(0) > 0);
    head_.keep_alive =
        head_.minor_version == 1 && !options->close && !head_.need_eof && !contradicts_204;
    head_.is_event_stream = is_event_stream_type(head_.content_type());
    return {};
}

void ResponseParser::release() {
    reset();
    forget_fields();
}

void ResponseParser::forget_fields() {
    lines_.release();
    head_.fields.release();
}

}  // namespace millrace::http1
