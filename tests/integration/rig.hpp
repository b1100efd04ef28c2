// What most integration tests need: one scripted backend behind the real gateway as model `m1`, and
// canned answers whose every byte the test knows. Thread-safety: see ScriptedBackend and
// GatewayProcess.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/gateway_process.hpp"
#include "tests/support/scripted_backend.hpp"
#include "tests/support/sse.hpp"

namespace millrace::test {

constexpr std::string_view kChat = "/v1/chat/completions";

/// A non-streamed chat answer with usage {prompt 7, completion 3}.
inline nlohmann::json chat_answer(std::string_view text = "Hello there friend") {
    return {
        {"id", "chatcmpl-1"},
        {"object", "chat.completion"},
        {"created", 1},
        {"model", "backend-name"},
        {"choices", nlohmann::json::array({{{"index", 0},
                                            {"message", {{"role", "assistant"}, {"content", text}}},
                                            {"finish_reason", "stop"}}})},
        {"usage", {{"prompt_tokens", 7}, {"completion_tokens", 3}, {"total_tokens", 10}}}};
}

/// One SSE event with that JSON.
inline std::string event(const nlohmann::json& json) {
    return "data: " + json.dump() + "\n\n";
}

inline nlohmann::json chat_chunk(std::string_view text) {
    return {{"id", "chatcmpl-1"},
            {"object", "chat.completion.chunk"},
            {"created", 1},
            {"model", "backend-name"},
            {"choices",
             nlohmann::json::array(
                 {{{"index", 0}, {"delta", {{"content", text}}}, {"finish_reason", nullptr}}})}};
}

/// The events of a streamed chat answer: a role chunk, `tokens` content chunks `t0 `, `t1 `…, a
/// finish chunk, usage when asked for, and [DONE].
inline std::vector<std::string> chat_events(int tokens = 3, bool usage = true) {
    std::vector<std::string> events;
    auto role = chat_chunk("");
    role["choices"][0]["delta"]["role"] = "assistant";
    events.push_back(event(role));
    for (int i = 0; i < tokens; ++i) {
        events.push_back(event(chat_chunk("t" + std::to_string(i) + ' ')));
    }
    auto finish = chat_chunk("");
    finish["choices"][0]["delta"] = nlohmann::json::object();
    finish["choices"][0]["finish_reason"] = "stop";
    events.push_back(event(finish));
    if (usage) {
        auto last = chat_chunk("");
        last["choices"] = nlohmann::json::array();
        last["usage"] = {
            {"prompt_tokens", 7}, {"completion_tokens", tokens}, {"total_tokens", 7 + tokens}};
        events.push_back(event(last));
    }
    events.emplace_back("data: [DONE]\n\n");
    return events;
}

/// Beginnings of a streamed answer: its head, then also the role chunk, then also one content token
/// `t0 `.
struct StreamStart {
    std::string head = stream_head();
    std::string role = head + chunk(chat_events(0, false).front());
    std::string token = role + chunk(event(chat_chunk("t0 ")));
};

/// The same as a whole chunked response.
inline std::string chat_stream(int tokens = 3, bool usage = true) {
    std::string bytes = stream_head();
    for (const auto& one : chat_events(tokens, usage)) {
        bytes += chunk(one);
    }
    return bytes.append(kLastChunk);
}

/// Answers chat requests as a well-behaved backend does: streamed when asked, usage when asked.
inline std::string well_behaved(const Message& seen) {
    const auto body = seen.json();
    if (!body.is_object() || !body.value("stream", false)) {
        return json_response(chat_answer());
    }
    const auto options = body.value("stream_options", nlohmann::json::object());
    return chat_stream(3, options.value("include_usage", false));
}

struct Rig {
    explicit Rig(ScriptedBackend::Script script = ScriptedBackend::answering(well_behaved),
                 std::string_view backend_extra = {}, GatewayOptions options = {})
        : backend(std::move(script)), gateway(with_model(std::move(options), backend_extra)) {}

    Message chat_call(const nlohmann::json& body, Headers headers = {}) const {
        return call(gateway.port(), post(kChat, body, std::move(headers)));
    }

    ScriptedBackend backend;
    GatewayProcess gateway;

private:
    GatewayOptions with_model(GatewayOptions options, std::string_view backend_extra) const {
        options.document = one_model(backend.url(), backend_extra) + options.document;
        return options;
    }
};

}  // namespace millrace::test
