#include "gateway/http1/head_parser.hpp"

#include <optional>
#include <string>

#include "config/base/assert.hpp"
#include "gateway/http1/characters.hpp"
#include "gateway/http1/field_line.hpp"
#include "gateway/http1/hop_by_hop.hpp"
#include "gateway/http1/uri.hpp"

namespace millrace::http1 {
namespace {

std::unexpected<Error> bad(Errc code, std::string detail) {
    return failure(code, Origin::downstream, std::move(detail));
}

std::unexpected<Error> scan_error(HeadLines::Outcome outcome, const HeadLimits& limits) {
    switch (outcome) {
        case HeadLines::Outcome::bad_start:
            return bad(
                Errc::bad_request_line,
                "The request line must be `METHOD target HTTP/1.1`, end in CRLF and contain no "
                "control bytes.");
        case HeadLines::Outcome::start_too_long:
            return bad(Errc::uri_too_long, "The request line is longer than " +
                                               std::to_string(limits.start_line) + " bytes.");
        case HeadLines::Outcome::block_too_large:
            return bad(Errc::headers_too_large, "The header block is larger than " +
                                                    std::to_string(limits.header_block) +
                                                    " bytes.");
        case HeadLines::Outcome::too_many_fields:
            return bad(
                Errc::headers_too_large,
                "The request has more than " + std::to_string(limits.fields) + " header lines.");
        default:
            return bad(
                Errc::bad_header,
                "A header line contains a control byte, or a CR or LF that does not end a line.");
    }
}

Error duplicate(KnownField field) {
    if (field == KnownField::host) {
        return {Errc::bad_host, Origin::downstream,
                "Host appears more than once; send exactly one."};
    }
    return {
        Errc::duplicate_header, Origin::downstream,
        "The header " + std::string(to_string(field)) + " appears more than once; send it once."};
}

/// Framing fields, and repetitions of known ones: what note_field has to look at.
constexpr bool is_remarkable(KnownField kind, bool first) {
    return kind == KnownField::content_length || kind == KnownField::transfer_encoding ||
           (!first && kind != KnownField::none);
}

Error field_line_error(FieldLine kind, std::size_t number, const HeaderField& field) {
    if (kind == FieldLine::with_underscore) {
        return {Errc::bad_header, Origin::downstream,
                "The header name " + printable_name(field.name) +
                    " contains an underscore; use hyphens."};
    }
    return {
        Errc::bad_header, Origin::downstream,
        "Header line " + std::to_string(number) +
            " is not `name: value` (folded lines and spaces before the colon are not allowed)."};
}

/// `HTTP/1.0` or `HTTP/1.1`.
Result<int> parse_version(std::string_view text) {
    const bool well_formed = text.size() == 8 && text.starts_with("HTTP/") && is_digit(text[5]) &&
                             text[6] == '.' && is_digit(text[7]);
    if (!well_formed || (text[5] == '1' && text[7] > '1')) {
        return bad(Errc::bad_request_line, "The request line must end in HTTP/1.1 or HTTP/1.0.");
    }
    if (text[5] != '1') {
        return bad(Errc::unsupported_http_version, "Only HTTP/1.1 and HTTP/1.0 are spoken here.");
    }
    return text[7] - '0';
}

Result<TargetParts> parse_target(std::string_view target, Method method) {
    if (target == "*" && method == Method::options) {
        return TargetParts{.path = target, .query = {}};
    }
    const auto parts = parse_origin_form(target);
    if (!parts) {
        return bad(Errc::bad_target,
                   "The request target must be a plain path: it starts with one `/` and has no "
                   "`//`, no `.` or "
                   "`..` segment, no `#` and no encoded control byte.");
    }
    return *parts;
}

}  // namespace

void RequestHead::rebase(const char* old_base, const char* new_base) {
    for (auto* view : {&method_text, &target, &path, &query}) {
        *view = rebased(*view, old_base, new_base);
    }
    fields.rebase(old_base, new_base);
}

Result<ParseStatus> HeadParser::parse(std::string_view buffer) {
    MILLRACE_ASSERT(lines_.consumed() == 0);
    const auto outcome = lines_.scan(buffer, limits_);
    const bool complete = outcome == HeadLines::Outcome::complete;
    // Looked at early, so that a bad one is refused without waiting for the rest, and again at the
    // end for the views.
    if (lines_.has_start_line() && (complete || !start_line_checked_)) {
        if (auto line = parse_start_line(lines_.start_line(buffer)); !line) {
            return std::unexpected(std::move(line.error()));
        }
        start_line_checked_ = true;
    }
    if (outcome == HeadLines::Outcome::need_more) {
        return ParseStatus::need_more;
    }
    if (!complete) {
        return scan_error(outcome, limits_);
    }
    if (auto fields = parse_fields(buffer); !fields) {
        return std::unexpected(std::move(fields.error()));
    }
    if (auto finished = finish(); !finished) {
        return std::unexpected(std::move(finished.error()));
    }
    return ParseStatus::complete;
}

Result<void> HeadParser::parse_start_line(std::string_view line) {
    const auto method_end = line.find(' ');
    if (method_end == std::string_view::npos) {
        return bad(Errc::bad_request_line, "The request line must be `METHOD target HTTP/1.1`.");
    }
    const auto target_end = line.find(' ', method_end + 1);
    head_.method_text = line.substr(0, method_end);
    if (target_end == std::string_view::npos || target_end == method_end + 1 ||
        !is_token(head_.method_text)) {
        return bad(Errc::bad_request_line, "The request line must be `METHOD target HTTP/1.1`.");
    }
    const auto version = parse_version(line.substr(target_end + 1));
    if (!version) {
        return std::unexpected(version.error());
    }
    head_.minor_version = *version;
    const auto method = parse_method(head_.method_text);
    if (!method) {
        return bad(Errc::method_not_allowed, "The method " + printable_name(head_.method_text) +
                                                 " is not allowed; use " +
                                                 std::string(kAllowedMethods) + ".");
    }
    head_.method = *method;
    head_.target = line.substr(method_end + 1, target_end - method_end - 1);
    const auto parts = parse_target(head_.target, head_.method);
    if (!parts) {
        return std::unexpected(parts.error());
    }
    head_.path = parts->path;
    head_.query = parts->query;
    return {};
}

Result<void> HeadParser::parse_fields(std::string_view buffer) {
    const char* const readable_end = buffer.data() + lines_.consumed();
    head_.fields.reserve(lines_.field_lines());
    std::optional<Error> error;
    lines_.for_each_field_line(buffer, [&](std::size_t number, std::string_view line) {
        HeaderField& field = head_.fields.append();
        const auto kind = parse_field_line(line, readable_end, field);
        if (kind == FieldLine::good) [[likely]] {
            const bool first = head_.fields.index_last();
            return is_remarkable(known(field), first) ? note_field(field, first, error) : true;
        }
        if (kind == FieldLine::with_underscore && limits_.drop_underscores) {
            head_.fields.drop_last();
            return true;
        }
        error = field_line_error(kind, number, field);
        return false;
    });
    if (error) {
        return std::unexpected(std::move(*error));
    }
    return {};
}

bool HeadParser::note_field(const HeaderField& field, bool first, std::optional<Error>& error) {
    const KnownField kind = known(field);
    if (!framing_.note(kind, field.value) && !first && is_singleton(kind)) {
        error = duplicate(kind);
        return false;
    }
    return true;
}

Result<void> HeadParser::finish() {
    const auto* host = head_.find(KnownField::host);
    if (host == nullptr ? head_.minor_version == 1 : !is_valid_host(host->value)) {
        return bad(Errc::bad_host, "Host must be present and be `name` or `name:port`.");
    }
    const auto framing = request_framing(framing_, head_.minor_version);
    if (!framing) {
        return std::unexpected(framing.error());
    }
    head_.framing = *framing;
    const auto options = connection_options(head_.fields);
    if (!options) {
        return bad(Errc::bad_header, "Connection must be a list of at most 32 tokens.");
    }
    if (options->names_protected) {
        return bad(Errc::bad_header,
                   "Connection names a header that may not be removed on the way (framing, "
                   "identity or routing).");
    }
    // HTTP/1.0 with keep-alive is one more way to disagree about where a message ends, and nobody
    // needs it.
    // A body behind GET or HEAD is read to its end, and then the connection closes: some readers
    // ignore such a body, and its bytes would be the next request to them.
    const bool odd_body =
        head_.framing.has_body() && (head_.method == Method::get || head_.method == Method::head);
    head_.keep_alive = head_.minor_version == 1 && !options->close && !odd_body;
    head_.connection_names_fields = options->names_fields;
    head_.upgrade = head_.fields.has(KnownField::upgrade);
    if (const auto* expect = head_.find(KnownField::expect)) {
        if (!equals_ignoring_case(expect->value, "100-continue")) {
            return bad(Errc::unsupported_expectation,
                       "The only supported Expect value is 100-continue.");
        }
        head_.expect_continue = head_.minor_version == 1 && head_.framing.has_body();
    }
    return {};
}

void HeadParser::reset() {
    lines_.reset();
    head_.fields.clear();
    head_.method_text = head_.target = head_.path = head_.query = {};
    head_.framing = {};
    head_.keep_alive = true;
    head_.expect_continue = head_.upgrade = head_.connection_names_fields = false;
    framing_ = {};
    start_line_checked_ = false;
}

void HeadParser::release() {
    reset();
    forget_fields();
}

void HeadParser::forget_fields() {
    lines_.release();
    head_.fields.release();
}

}  // namespace millrace::http1
