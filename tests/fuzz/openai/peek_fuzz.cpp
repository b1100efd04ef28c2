// Peek against nlohmann-json: what is valid JSON must give the same facts; what Peek accepts must
// be balanced (checked by a bytewise scanner); pieces and kernels must agree.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>

#include "gateway/openai/body_edit.hpp"
#include "gateway/openai/peek.hpp"

namespace {

using millrace::Errc;
using millrace::Result;
using millrace::openai::Peek;
using millrace::openai::RequestFields;
using Json = nlohmann::json;

void require(bool condition, const char* what, std::string_view body) {
    if (!condition) {
        std::cerr << "violated: " << what << "\nbody: " << body << '\n';
        std::abort();
    }
}

Result<RequestFields> peek(std::string_view body, std::size_t step) {
    Peek peek;
    for (std::size_t size = step; size < body.size(); size += step) {
        if (const auto fed = peek.feed(body.substr(0, size)); !fed) {
            return std::unexpected(fed.error());
        }
    }
    return peek.finish(body);
}

/// One object, brackets matching in kind, depth at most 64, nothing but white space around it;
/// written without blocks.
bool is_balanced(std::string_view body) {
    std::string open;
    bool in_string = false;
    bool done = false;
    for (std::size_t i = 0; i < body.size(); ++i) {
        const char c = body[i];
        if (in_string) {
            i += c == '\\' ? 1 : 0;
            in_string = c != '"';
            continue;
        }
        const bool space = c == ' ' || c == '\n' || c == '\r' || c == '\t';
        if (open.empty() && !space && (done || c != '{')) {
            return false;
        }
        if (c == '"') {
            in_string = true;
        } else if (c == '\\') {
            return true;  // not JSON; what an escape means outside a string is nobody's business
        } else if (c == '{' || c == '[') {
            open += c;
            if (open.size() > 64) {
                return false;
            }
        } else if (c == '}' || c == ']') {
            if (open.empty() || open.back() != (c == '}' ? '{' : '[')) {
                return false;
            }
            open.pop_back();
            done = open.empty();
        }
    }
    return done && !in_string;
}

/// Top-level keys that appear twice, and the document's depth.
struct Shape {
    std::multiset<std::string> keys;
    std::size_t depth = 0;
};

bool parse(std::string_view body, Json& json, Shape& shape) {
    std::size_t depth = 0;
    const auto watch = [&](int at, Json::parse_event_t event, Json& value) {
        static_cast<void>(at);
        using Event = Json::parse_event_t;
        if (event == Event::object_start || event == Event::array_start) {
            shape.depth = std::max(shape.depth, ++depth);
        } else if (event == Event::object_end || event == Event::array_end) {
            --depth;
        } else if (event == Event::key && depth == 1) {
            shape.keys.insert(value.get<std::string>());
        }
        return true;
    };
    json = Json::parse(body.begin(), body.end(), watch, /*allow_exceptions=*/false);
    return !json.is_discarded() && json.is_object();
}

/// Whether a body that is valid JSON must be accepted: no duplicate keys, and the types that Peek
/// asks for.
bool must_accept(const Json& json, const Shape& shape) {
    static const std::set<std::string> counts{"max_tokens", "max_completion_tokens",
                                              "max_output_tokens", "n"};
    static const std::set<std::string> flags{"stream", "store", "background"};
    static const std::set<std::string> others{
        "stream_options", "tools", "messages", "prompt", "input", "instructions", "system"};
    for (const auto& [key, value] : json.items()) {
        const bool is_text = key == "model" || key == "previous_response_id";
        const bool known =
            is_text || counts.contains(key) || flags.contains(key) || others.contains(key);
        if (!known) {
            continue;
        }
        const bool fits =
            value.is_null() ||
            (is_text && value.is_string() && value.get<std::string>().size() <= 128) ||
            (counts.contains(key) && value.is_number() && std::abs(value.get<double>()) < 1e18) ||
            (flags.contains(key) && value.is_boolean()) ||
            (others.contains(key) && key != "stream_options");
        if (shape.keys.count(key) > 1 || !fits) {
            return false;
        }
    }
    return shape.depth <= 64;
}

void compare(const Json& json, const RequestFields& fields, std::string_view body) {
    const auto text = [&](const char* key) {
        return json.contains(key) && json[key].is_string()
                   ? std::optional(json[key].get<std::string>())
                   : std::nullopt;
    };
    require(fields.model == text("model"), "the same model", body);
    require(fields.previous_response_id == text("previous_response_id"), "the same response id",
            body);
    require(fields.stream == (json.contains("stream") && json["stream"] == true), "the same stream",
            body);
    require(fields.model_value.has_value() == json.contains("model"), "model is present", body);
    require(fields.empty_object == json.empty(), "the same emptiness", body);
    const auto& options = fields.stream_options;
    require(options.has_value() == json.contains("stream_options"), "stream_options is present",
            body);
    for (const char* key : {"max_tokens", "max_completion_tokens", "n"}) {
        const auto& ours = std::string_view(key) == "n"            ? fields.n
                           : std::string_view(key) == "max_tokens" ? fields.max_tokens
                                                                   : fields.max_completion_tokens;
        if (json.contains(key) && json[key].is_number_unsigned()) {
            require(ours == json[key].get<std::uint64_t>(), "the same count", body);
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view body(reinterpret_cast<const char*>(data), size);
    const auto fields = peek(body, body.size() + 1);
    for (const std::size_t step : {1UL, 7UL, 64UL}) {
        const auto again = peek(body, step);
        require(again.has_value() == fields.has_value(), "pieces agree", body);
        require(
            !again || (again->model == fields->model && again->has_images == fields->has_images &&
                       again->prompt_bytes == fields->prompt_bytes),
            "pieces agree on facts", body);
    }
    millrace::metrics::JsonScanner::use_portable_kernel(true);
    const auto portable = peek(body, body.size() + 1);
    millrace::metrics::JsonScanner::use_portable_kernel(false);
    require(portable.has_value() == fields.has_value(), "kernels agree", body);
    require(!fields || is_balanced(body), "accepted bodies are balanced", body);

    Json json;
    Shape shape;
    // Two liberties of the other parser: it skips a byte order mark, and it takes a NUL for the end
    // of the input.
    const bool is_strict =
        !body.starts_with("\xEF\xBB\xBF") && body.find('\0') == std::string_view::npos;
    if (!is_strict || !parse(body, json, shape)) {
        return 0;
    }
    if (!fields) {
        require(!must_accept(json, shape), "valid bodies are accepted", body);
        return 0;
    }
    compare(json, *fields, body);
    const auto edit = millrace::openai::edits_for(*fields, body, "served \"name\"",
                                                  {.final_usage = true, .continuous = true});
    const Json edited = Json::parse(edit.apply(body), nullptr, false);
    require(!edited.is_discarded(), "edited bodies stay valid", body);
    require(edited["model"] == "served \"name\"", "the served name is written", body);
    require(!fields->stream || edited["stream_options"]["include_usage"] == true,
            "usage is asked for", body);
    Json rest = edited;
    Json original = json;
    for (Json* each : {&rest, &original}) {
        each->erase("model");
        each->erase("stream_options");
    }
    require(rest == original, "nothing else changes", body);
    return 0;
}
