#include "tests/support/sse.hpp"

namespace millrace::test {

namespace {

void read_line(std::string_view line, SseEvent& event, bool& has_data) {
    if (line.starts_with(':')) {
        return;
    }
    const auto colon = line.find(':');
    const auto name = line.substr(0, colon);
    auto value = colon == std::string_view::npos ? std::string_view{} : line.substr(colon + 1);
    if (value.starts_with(' ')) {
        value.remove_prefix(1);
    }
    if (name == "event") {
        event.event = value;
    } else if (name == "data") {
        if (has_data) {
            event.data += '\n';
        }
        event.data += value;
        has_data = true;
    }
}

void judge_error(const nlohmann::json& json, StreamVerdict& verdict) {
    const auto& error = json.contains("response") && json["response"].is_object() &&
                                json["response"].contains("error")
                            ? json["response"]["error"]
                        : json.contains("error") ? json["error"]
                                                 : json;
    verdict.error = true;
    if (error.is_object()) {
        verdict.error_code = error.contains("code") && error["code"].is_string()
                                 ? error["code"].get<std::string>()
                                 : error.value("type", "");
    }
}

void judge_choices(const nlohmann::json& json, StreamVerdict& verdict) {
    const bool usage = json.contains("usage") && json["usage"].is_object();
    verdict.has_usage = verdict.has_usage || usage;
    if (!json.contains("choices") || !json["choices"].is_array()) {
        return;
    }
    verdict.usage_event = verdict.usage_event || (usage && json["choices"].empty());
    for (const auto& choice : json["choices"]) {
        ++verdict.events;
        const auto delta = choice.value("delta", nlohmann::json::object());
        if (delta.contains("content") && delta["content"].is_string()) {
            verdict.content += delta["content"].get<std::string>();
        }
        if (choice.contains("text") && choice["text"].is_string()) {
            verdict.content += choice["text"].get<std::string>();
        }
    }
}

}  // namespace

std::vector<SseEvent> sse_events(std::string_view text) {
    std::vector<SseEvent> events;
    SseEvent event;
    bool has_data = false;
    while (!text.empty()) {
        const auto end = text.find_first_of("\r\n");
        if (end == std::string_view::npos) {
            break;
        }
        const auto line = text.substr(0, end);
        text.remove_prefix(end + (text.substr(end).starts_with("\r\n") ? 2 : 1));
        if (!line.empty()) {
            read_line(line, event, has_data);
        } else {
            if (has_data) {
                events.push_back(event);
            }
            event = {};
            has_data = false;
        }
    }
    return events;
}

StreamVerdict judge_stream(std::string_view body) {
    StreamVerdict verdict;
    for (const auto& event : sse_events(body)) {
        if (event.done()) {
            verdict.done = true;
            continue;
        }
        const auto json = event.json();
        if (!json.is_object()) {
            continue;
        }
        const auto type = json.value("type", "");
        if ((json.contains("error") && !json["error"].is_null()) || type == "error" ||
            type == "response.failed") {
            judge_error(json, verdict);
        } else if (type == "message_stop" || type == "response.completed") {
            verdict.done = true;
        } else {
            judge_choices(json, verdict);
        }
    }
    return verdict;
}

}  // namespace millrace::test
