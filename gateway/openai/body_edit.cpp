#include "gateway/openai/body_edit.hpp"

#include "config/base/assert.hpp"

namespace millrace::openai {
namespace {

constexpr std::string_view kFinal = "\"include_usage\":true";
constexpr std::string_view kContinuous = "\"continuous_usage_stats\":true";

std::string usage_members(bool final_usage, bool continuous) {
    std::string text(final_usage ? kFinal : std::string_view{});
    if (continuous) {
        text += text.empty() ? "" : ",";
        text += kContinuous;
    }
    return text;
}

/// The object exists: set what is there to true, insert what is missing behind its `{`.
void edit_stream_options(BodyEdit& edit, const StreamOptions& options, bool continuous) {
    const bool set_final = !options.include_usage;
    const bool set_continuous = continuous && !options.continuous_usage;
    const std::string missing = usage_members(set_final && !options.include_usage_value,
                                              set_continuous && !options.continuous_usage_value);
    if (!missing.empty()) {
        edit.insert(options.value.offset + 1, options.empty ? missing : missing + ",");
    }
    if (set_final && options.include_usage_value) {
        edit.replace(*options.include_usage_value, "true");
    }
    if (set_continuous && options.continuous_usage_value) {
        edit.replace(*options.continuous_usage_value, "true");
    }
}

}  // namespace

void BodyEdit::replace(Span where, std::string_view text) {
    MILLRACE_ASSERT(count_ < kMaxEdits);
    const Edit edit{where, Span{text_.size(), text.size()}};
    text_.append(text);
    std::size_t at = count_++;
    while (at > 0 && edits_[at - 1].where.offset > where.offset) {
        edits_[at] = edits_[at - 1];
        --at;
    }
    MILLRACE_ASSERT(at == 0 || edits_[at - 1].where.end() <= where.offset);
    edits_[at] = edit;
}

std::size_t BodyEdit::length(std::size_t body_length) const {
    for (std::size_t i = 0; i < count_; ++i) {
        body_length = body_length - edits_[i].where.length + edits_[i].text.length;
    }
    return body_length;
}

void BodyEdit::gather(std::string_view body, std::vector<std::string_view>& out) const {
    std::size_t at = 0;
    const auto put = [&](std::string_view piece) {
        if (!piece.empty()) {
            out.push_back(piece);
        }
    };
    for (std::size_t i = 0; i < count_; ++i) {
        const Edit& edit = edits_[i];
        put(body.substr(at, edit.where.offset - at));
        put(std::string_view(text_).substr(edit.text.offset, edit.text.length));
        at = edit.where.end();
    }
    put(body.substr(at));
}

std::string BodyEdit::apply(std::string_view body) const {
    std::vector<std::string_view> pieces;
    gather(body, pieces);
    std::string out;
    out.reserve(length(body.size()));
    for (const std::string_view piece : pieces) {
        out += piece;
    }
    return out;
}

BodyEdit edits_for(const RequestFields& fields, std::string_view body, std::string_view served_name,
                   UsageInjection usage) {
    BodyEdit edit;
    const bool inject = fields.stream && (usage.final_usage || usage.continuous);
    std::string front;
    if (!fields.model_value) {
        front += "\"model\":";
        metrics::append_json_string(front, served_name);
    } else {
        std::string name;
        metrics::append_json_string(name, served_name);
        if (body.substr(fields.model_value->offset, fields.model_value->length) != name) {
            edit.replace(*fields.model_value, name);
        }
    }
    if (inject && !fields.stream_options) {
        front += front.empty() ? "" : ",";
        front += "\"stream_options\":{" + usage_members(true, usage.continuous) + "}";
    } else if (inject && !fields.stream_options->is_object) {
        edit.replace(fields.stream_options->value,
                     "{" + usage_members(true, usage.continuous) + "}");
    } else if (inject) {
        edit_stream_options(edit, *fields.stream_options, usage.continuous);
    }
    if (!front.empty()) {
        edit.insert(fields.object_start, fields.empty_object ? front : front + ",");
    }
    return edit;
}

}  // namespace millrace::openai
