#include "gateway/openai/peek.hpp"

#include <charconv>
#include <cmath>
#include <utility>

#include "gateway/openai/body_keys.hpp"
#include "metrics/tokens/json_cursor.hpp"

namespace millrace::openai {
namespace {

using metrics::JsonCursor;
using metrics::JsonKind;
using metrics::JsonScanner;

/// Index into RequestFields::prompt_parts.
std::size_t part_of(std::uint8_t key) {
    switch (key) {
        case kCacheSalt: return 0;
        case kTools: return 1;
        case kSystem: return 2;
        case kInstructions: return 3;
        default: return 4;
    }
}

bool is_key(std::string_view raw, std::string_view name) {
    return raw == name ||
           (raw.find('\\') != std::string_view::npos && metrics::json_unescape(raw) == name);
}

std::string quoted(std::uint8_t key) {
    return "\"" + std::string(name_of(key)) + "\"";
}

/// A count as a client may write it. `value` stays empty for numbers that are no count (negative,
/// fractional): those are the backend's to judge. False: no number, or beyond every number that a
/// reader could hold.
bool read_count(std::string_view text, std::optional<std::uint64_t>& value) {
    if (text == "null") {
        return true;
    }
    if (text == "true" || text == "false" || !metrics::is_json_scalar(text)) {
        return false;
    }
    value = metrics::json_uint(text);
    if (value) {
        return true;
    }
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size() || std::abs(number) > 1e19) {
        return false;
    }
    constexpr double kExact = 9007199254740992.0;  // 2^53
    if (number >= 0 && number <= kExact && number == std::floor(number)) {
        value = static_cast<std::uint64_t>(number);
    }
    return true;
}

bool read_flag(std::string_view text, std::optional<bool>& value) {
    if (text == "true" || text == "false") {
        value = text == "true";
        return true;
    }
    return text == "null";
}

bool is_empty_container(std::string_view text) {
    return text.substr(1, text.size() - 2).find_first_not_of(" \t\r\n") == std::string_view::npos;
}

}  // namespace

ShowUsage client_usage(const RequestFields& fields) {
    if (!fields.stream_options || !fields.stream_options->include_usage) {
        return ShowUsage::nothing;
    }
    return fields.stream_options->continuous_usage ? ShowUsage::everything : ShowUsage::final_only;
}

Peek::Peek(unsigned max_depth) : scanner_(max_depth, 'i') {}

Result<void> Peek::feed(std::string_view body_so_far) {
    body_ = body_so_far;
    check_watched();
    const auto scanned = scanner_.feed(body_.substr(scanner_.consumed()), *this);
    if (!scanned) {
        return std::unexpected(refusal_.detail.empty() ? scanned.error() : refusal_);
    }
    return {};
}

Result<RequestFields> Peek::finish(std::string_view whole_body) {
    if (const auto fed = feed(whole_body); !fed) {
        return std::unexpected(fed.error());
    }
    if (const auto finished = scanner_.finish(); !finished) {
        return std::unexpected(finished.error());
    }
    fields_.object_start = scanner_.object_start();
    const std::size_t next = whole_body.find_first_not_of(" \t\r\n", fields_.object_start);
    fields_.empty_object = whole_body[next] == '}';
    return std::move(fields_);
}

metrics::JsonHandler::Key Peek::on_key(std::size_t begin, std::size_t end, unsigned level) {
    static_cast<void>(level);
    const std::uint8_t id = find_body_key(body_.substr(begin, end - begin));
    if (id == kKeyCount) {
        return Key::skip;
    }
    const std::uint32_t bit = 1U << id;
    if ((seen_ & bit) != 0) {
        refuse(
            Errc::duplicate_key,
            "The key " + quoted(id) + " appears twice at the top level of the body; send it once.");
        return Key::stop;
    }
    seen_ |= bit;
    key_ = id;
    return Key::report;
}

bool Peek::on_value(JsonKind kind, std::size_t begin, std::size_t end, unsigned level) {
    static_cast<void>(level);
    if (kind == JsonKind::scalar && !metrics::is_json_scalar(body_.substr(begin, end - begin))) {
        return refuse(Errc::bad_json, "The value of " + quoted(key_) + " is not valid JSON.");
    }
    return read_value(kind, Span{begin, end - begin});
}

bool Peek::read_value(JsonKind kind, Span value) {
    const std::string_view text = body_.substr(value.offset, value.length);
    switch (key_) {
        case kModel:
            fields_.model_value = value;
            return read_text(kind, text, kMaxModelLength, fields_.model);
        case kPreviousResponseId:
            return read_text(kind, text, kMaxResponseIdLength, fields_.previous_response_id);
        case kStreamOptions: return read_stream_options(kind, value);
        case kMaxTokens: return read_number(text, fields_.max_tokens);
        case kMaxCompletionTokens: return read_number(text, fields_.max_completion_tokens);
        case kMaxOutputTokens: return read_number(text, fields_.max_output_tokens);
        case kN: return read_number(text, fields_.n);
        case kStore: return read_bool(text, fields_.store);
        case kStream:
        case kBackground: {
            std::optional<bool> flag;
            const bool ok = read_bool(text, flag);
            (key_ == kStream ? fields_.stream : fields_.background) = flag.value_or(false);
            return ok;
        }
        case kTools:
            fields_.has_tools = kind == JsonKind::array && !is_empty_container(text);
            [[fallthrough]];
        default:
            if (kind != JsonKind::scalar) {
                fields_.prompt_parts[part_of(key_)] = value;
                fields_.prompt_bytes += key_ == kCacheSalt ? 0 : value.length;
            }
            return true;
    }
}

bool Peek::read_text(JsonKind kind, std::string_view text, std::size_t limit,
                     std::optional<std::string>& out) {
    if (text == "null") {
        return true;
    }
    if (kind != JsonKind::string) {
        return refuse(Errc::bad_field, "The value of " + quoted(key_) + " must be a string.");
    }
    if (text.size() > 6 * limit + 2) {
        return refuse_length(limit);
    }
    out = metrics::json_unescape(text.substr(1, text.size() - 2));
    if (!out) {
        return refuse(Errc::bad_json, "The string in " + quoted(key_) + " is not valid JSON.");
    }
    return out->size() <= limit || refuse_length(limit);
}

bool Peek::refuse_length(std::size_t limit) {
    return refuse(Errc::bad_field, "The value of " + quoted(key_) +
                                       " is longer than the limit of " + std::to_string(limit) +
                                       " bytes.");
}

bool Peek::read_number(std::string_view text, std::optional<std::uint64_t>& out) {
    return read_count(text, out) ||
           refuse(Errc::bad_field, "The value of " + quoted(key_) + " must be a whole number.");
}

bool Peek::read_bool(std::string_view text, std::optional<bool>& out) {
    return read_flag(text, out) ||
           refuse(Errc::bad_field, "The value of " + quoted(key_) + " must be true or false.");
}

bool Peek::read_stream_options(JsonKind kind, Span value) {
    const std::string_view text = body_.substr(value.offset, value.length);
    StreamOptions options;
    options.value = value;
    if (text == "null") {
        fields_.stream_options = options;
        return true;
    }
    if (kind != JsonKind::object) {
        return refuse(Errc::bad_field, "The value of \"stream_options\" must be an object.");
    }
    options.is_object = true;
    options.empty = true;
    JsonCursor cursor(text);
    cursor.begin_object();
    std::string_view raw;
    while (cursor.next_member(raw)) {
        options.empty = false;
        const std::size_t at = value.offset + cursor.offset();
        const std::string_view member = cursor.skip_value();
        const bool final_usage = is_key(raw, "include_usage");
        if (!final_usage && !is_key(raw, "continuous_usage_stats")) {
            continue;
        }
        auto& span = final_usage ? options.include_usage_value : options.continuous_usage_value;
        if (span) {
            return refuse(Errc::duplicate_key, "A key appears twice in \"stream_options\".");
        }
        span = Span{at, member.size()};
        std::optional<bool> flag;
        if (!read_flag(member, flag)) {
            return refuse(Errc::bad_field,
                          "The members of \"stream_options\" must be true or false.");
        }
        (final_usage ? options.include_usage : options.continuous_usage) = flag.value_or(false);
    }
    if (!cursor.at_end()) {
        return refuse(Errc::bad_json, "The value of \"stream_options\" is not valid JSON.");
    }
    fields_.stream_options = options;
    return true;
}

bool Peek::refuse(Errc code, std::string detail) {
    refusal_ = Error{code, Origin::downstream, std::move(detail)};
    return false;
}

void Peek::on_watched(std::size_t quote) {
    if (!fields_.has_images) {
        watched_ = quote;
        check_watched();
    }
}

/// Compares the watched string, or leaves it for the next feed when its end is not here. At most
/// one string is unfinished at a time, so one place is enough.
void Peek::check_watched() {
    if (watched_ == JsonScanner::kNone) {
        return;
    }
    const std::string_view here = body_.substr(watched_);
    bool undecided = false;
    for (const std::string_view name :
         {std::string_view("\"image_url\""), std::string_view("\"input_image\"")}) {
        fields_.has_images = fields_.has_images || here.starts_with(name);
        undecided = undecided || (here.size() < name.size() && name.starts_with(here));
    }
    if (!undecided || fields_.has_images) {
        watched_ = JsonScanner::kNone;
    }
}

}  // namespace millrace::openai
