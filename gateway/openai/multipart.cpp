#include "gateway/openai/multipart.hpp"

#include <algorithm>
#include <utility>

namespace millrace::openai {
namespace {

constexpr std::size_t kMaxParts = 1024;
constexpr std::size_t kMaxPartHead = 8192;

std::unexpected<Error> bad(std::string detail) {
    return failure(Errc::bad_multipart, Origin::downstream, std::move(detail));
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
    return std::ranges::equal(a, b, [](char x, char y) {
        const auto lower = [](char c) {
            return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
        };
        return lower(x) == lower(y);
    });
}

std::string_view trimmed(std::string_view text) {
    const std::size_t from = text.find_first_not_of(" \t");
    if (from == std::string_view::npos) {
        return {};
    }
    return text.substr(from, text.find_last_not_of(" \t") - from + 1);
}

/// One `; name=value` of a header value; `rest` moves behind it. False at the end or (with
/// `malformed`) on an error.
bool next_parameter(std::string_view& rest, std::string_view& name, std::string& value,
                    bool& malformed) {
    rest = trimmed(rest);
    if (rest.empty()) {
        return false;
    }
    malformed = true;
    if (rest.front() != ';') {
        return false;
    }
    rest = trimmed(rest.substr(1));
    const std::size_t equal = rest.find('=');
    if (equal == std::string_view::npos) {
        return false;
    }
    name = rest.substr(0, equal);
    rest.remove_prefix(equal + 1);
    value.clear();
    if (!rest.starts_with('"')) {
        const std::size_t end = std::min(rest.find_first_of("; \t\""), rest.size());
        value = rest.substr(0, end);
        rest.remove_prefix(end);
        malformed = value.empty() || name.empty();
        return !malformed;
    }
    rest.remove_prefix(1);
    while (!rest.empty() && rest.front() != '"') {
        if (rest.front() == '\\' && rest.size() > 1 && (rest[1] == '"' || rest[1] == '\\')) {
            rest.remove_prefix(1);
        }
        value += rest.front();
        rest.remove_prefix(1);
    }
    if (rest.empty()) {
        return false;
    }
    rest.remove_prefix(1);
    malformed = name.empty();
    return !malformed;
}

struct PartHead {
    std::string name;
    bool is_file = false;
};

Result<void> read_disposition(std::string_view value, PartHead& part) {
    const std::size_t end = std::min(value.find(';'), value.size());
    if (!equals_ignoring_case(trimmed(value.substr(0, end)), "form-data")) {
        return bad("A part of the multipart body is not form-data.");
    }
    std::string_view rest = value.substr(end);
    std::string_view name;
    std::string text;
    bool malformed = false;
    bool named = false;
    while (next_parameter(rest, name, text, malformed)) {
        if (equals_ignoring_case(name, "name")) {
            if (named) {
                return bad("A part of the multipart body has two names.");
            }
            named = true;
            part.name = text;
        } else if (equals_ignoring_case(name, "filename") ||
                   equals_ignoring_case(name, "filename*")) {
            part.is_file = true;
        } else if (equals_ignoring_case(name, "name*")) {
            return bad(
                "A part of the multipart body uses name*, which readers understand differently.");
        }
    }
    if (malformed || !named) {
        return bad("A part of the multipart body has a malformed Content-Disposition.");
    }
    return {};
}

/// The header lines of one part, without the blank line.
Result<PartHead> read_part_head(std::string_view head) {
    PartHead part;
    bool disposed = false;
    while (!head.empty()) {
        const std::size_t end = std::min(head.find("\r\n"), head.size());
        const std::string_view line = head.substr(0, end);
        head.remove_prefix(std::min(end + 2, head.size()));
        const std::size_t colon = line.find(':');
        if (colon == std::string_view::npos || colon == 0 ||
            line.find_first_of("\r\n") != std::string_view::npos || line.front() == ' ' ||
            line.front() == '\t') {
            return bad("A part of the multipart body has a malformed header line.");
        }
        const std::string_view name = line.substr(0, colon);
        if (equals_ignoring_case(name, "content-disposition")) {
            if (disposed) {
                return bad("A part of the multipart body has two Content-Disposition headers.");
            }
            disposed = true;
            if (const auto read = read_disposition(line.substr(colon + 1), part); !read) {
                return std::unexpected(read.error());
            }
        } else if (equals_ignoring_case(name, "content-transfer-encoding")) {
            const std::string_view coding = trimmed(line.substr(colon + 1));
            if (!equals_ignoring_case(coding, "binary") && !equals_ignoring_case(coding, "8bit") &&
                !equals_ignoring_case(coding, "7bit")) {
                return bad("A part of the multipart body has a Content-Transfer-Encoding.");
            }
        }
    }
    if (!disposed) {
        return bad("A part of the multipart body has no Content-Disposition.");
    }
    return part;
}

Result<void> take_field(const PartHead& part, Span content, std::string_view body,
                        MultipartFields& fields) {
    const std::string_view text = body.substr(content.offset, content.length);
    if (part.name == "stream") {
        fields.stream = text == "true" || text == "True" || text == "1";
        return {};
    }
    if (part.name != "model") {
        return {};
    }
    if (fields.model) {
        return failure(Errc::duplicate_key, Origin::downstream,
                       "The multipart body has two parts named \"model\"; send one.");
    }
    if (part.is_file) {
        return bad("The part \"model\" of the multipart body must be a plain field, not a file.");
    }
    if (text.size() > Peek::kMaxModelLength) {
        return failure(Errc::bad_field, Origin::downstream,
                       "The part \"model\" is longer than the limit of " +
                           std::to_string(Peek::kMaxModelLength) + " bytes.");
    }
    fields.model = std::string(text);
    fields.model_value = content;
    return {};
}

}  // namespace

Result<std::string> multipart_boundary(std::string_view content_type) {
    const std::size_t end = std::min(content_type.find(';'), content_type.size());
    if (!equals_ignoring_case(trimmed(content_type.substr(0, end)), "multipart/form-data")) {
        return failure(Errc::unsupported_media_type, Origin::downstream,
                       "This path reads multipart/form-data; set the Content-Type to it.");
    }
    std::string_view rest = content_type.substr(end);
    std::string_view name;
    std::string value;
    std::optional<std::string> boundary;
    bool malformed = false;
    while (next_parameter(rest, name, value, malformed)) {
        if (equals_ignoring_case(name, "boundary")) {
            if (boundary) {
                return bad("The Content-Type names two boundaries.");
            }
            boundary = value;
        }
    }
    constexpr std::string_view kBoundaryBytes =
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'()+_,-./:=? ";
    if (malformed || !boundary || boundary->empty() || boundary->size() > 70 ||
        boundary->back() == ' ' ||
        boundary->find_first_not_of(kBoundaryBytes) != std::string::npos) {
        return bad("The Content-Type must name a boundary of 1 to 70 characters.");
    }
    return *std::move(boundary);
}

Result<MultipartFields> read_multipart(std::string_view content_type, std::string_view body) {
    auto boundary = multipart_boundary(content_type);
    if (!boundary) {
        return std::unexpected(boundary.error());
    }
    MultipartFields fields;
    fields.boundary = *std::move(boundary);
    const std::string delimiter = "\r\n--" + fields.boundary;
    if (!body.starts_with(std::string_view(delimiter).substr(2))) {
        return bad("The multipart body does not begin with its boundary.");
    }
    std::size_t at = delimiter.size() - 2;
    while (body.substr(at, 2) != "--") {
        if (body.substr(at, 2) != "\r\n") {
            return bad("A boundary of the multipart body is not followed by a line end.");
        }
        at += 2;
        const std::size_t content = body.substr(at, kMaxPartHead).find("\r\n\r\n");
        if (content == std::string_view::npos) {
            return bad("A part of the multipart body has no end of its headers within " +
                       std::to_string(kMaxPartHead) + " bytes.");
        }
        const auto part = read_part_head(body.substr(at, content));
        if (!part) {
            return std::unexpected(part.error());
        }
        const std::size_t from = at + content + 4;
        // An empty part's delimiter may share the blank line's CRLF only in lax readers; not here.
        const std::size_t end = body.find(delimiter, from);
        if (end == std::string_view::npos || ++fields.parts > kMaxParts) {
            return bad("The multipart body ends inside a part or has more than " +
                       std::to_string(kMaxParts) + " parts.");
        }
        if (const auto taken = take_field(*part, Span{from, end - from}, body, fields); !taken) {
            return std::unexpected(taken.error());
        }
        at = end + delimiter.size();
    }
    const std::string_view tail = body.substr(at + 2);
    if (!tail.empty() && !tail.starts_with("\r\n")) {
        return bad("The last boundary of the multipart body is followed by other bytes.");
    }
    return fields;
}

BodyEdit edits_for(const MultipartFields& fields, std::string_view served_name) {
    BodyEdit edit;
    if (fields.model_value) {
        if (fields.model != served_name) {
            edit.replace(*fields.model_value, served_name);
        }
        return edit;
    }
    edit.insert(0, "--" + fields.boundary +
                       "\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n" +
                       std::string(served_name) + "\r\n");
    return edit;
}

}  // namespace millrace::openai
