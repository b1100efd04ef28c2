// The other API shapes: Responses with its memory of who stored what, Messages, embeddings and
// pass-through surfaces.
#include <atomic>
#include <memory>

#include <gtest/gtest.h>

#include "tests/integration/rig.hpp"
#include "tests/support/openssl_command.hpp"

namespace millrace::test {
namespace {

std::string named_event(const nlohmann::json& json) {
    return "event: " + json["type"].get<std::string>() + "\ndata: " + json.dump() + "\n\n";
}

/// The events of a streamed Responses answer with that id.
std::vector<std::string> responses_events(const std::string& id) {
    const nlohmann::json open = {{"id", id}, {"object", "response"}, {"status", "in_progress"}};
    nlohmann::json closed = open;
    closed["status"] = "completed";
    closed["usage"] = {{"input_tokens", 4}, {"output_tokens", 2}, {"total_tokens", 6}};
    return {named_event({{"type", "response.created"}, {"sequence_number", 0}, {"response", open}}),
            named_event(
                {{"type", "response.output_text.delta"}, {"sequence_number", 1}, {"delta", "Hi"}}),
            named_event(
                {{"type", "response.completed"}, {"sequence_number", 2}, {"response", closed}})};
}

std::string as_stream(const std::vector<std::string>& events) {
    auto bytes = stream_head();
    for (const auto& one : events) {
        bytes += chunk(one);
    }
    return bytes.append(kLastChunk);
}

std::string joined(const std::vector<std::string>& events) {
    std::string text;
    for (const auto& one : events) {
        text += one;
    }
    return text;
}

/// A backend with a memory of its own: answers follow-ups only for ids it made.
ScriptedBackend::Script responses_backend(const std::string& prefix) {
    return ScriptedBackend::answering([prefix, made = std::make_shared<std::atomic<int>>(0)](
                                          const Message& seen) {
        if (seen.method() == "POST" && seen.target() == "/v1/responses") {
            const auto id = prefix + std::to_string(++*made);
            if (seen.json().value("stream", false)) {
                return as_stream(responses_events(id));
            }
            return json_response(
                {{"id", id},
                 {"object", "response"},
                 {"status", "completed"},
                 {"usage", {{"input_tokens", 4}, {"output_tokens", 2}, {"total_tokens", 6}}}});
        }
        const bool known = seen.target().find(prefix) != std::string::npos;
        return json_response({{"id", prefix}, {"object", "response"}, {"target", seen.target()}},
                             known ? 200 : 404);
    });
}

struct TwoResponders {
    ScriptedBackend a{responses_backend("resp_a")};
    ScriptedBackend b{responses_backend("resp_b")};
    GatewayProcess gateway{{.document = "models: [{id: m1, variants: [{name: s, backend: "
                                        "p}]}]\nbackends: {p: {endpoints: {static: [\"" +
                                        a.url() + "\", \"" + b.url() + "\"]}}}\n"}};

    Message create(bool stream = false) const {
        nlohmann::json body = {{"model", "m1"}, {"input", "hi"}};
        if (stream) {
            body["stream"] = true;
        }
        return call(gateway.port(), post("/v1/responses", body));
    }
};

TEST(Responses, AreStreamedByteForByte) {
    const TwoResponders rig;
    const auto answer = rig.create(true);
    ASSERT_TRUE(answer.complete);
    const auto id = answer.body.contains("resp_a1") ? "resp_a1" : "resp_b1";
    EXPECT_EQ(answer.body, joined(responses_events(id)));
    EXPECT_FALSE(answer.body.contains("[DONE]"));
}

TEST(Responses, FindTheEndpointThatHoldsThem) {
    const TwoResponders rig;
    for (int i = 0; i < 12; ++i) {
        const auto created = rig.create(i % 2 == 1);
        const auto body =
            i % 2 == 1 ? sse_events(created.body).at(0).json()["response"] : created.json();
        const auto id = body.at("id").get<std::string>();
        const auto found = get(rig.gateway.port(), "/v1/responses/" + id);
        EXPECT_EQ(found.status(), 200) << id << ' ' << found.raw;
        EXPECT_EQ(get(rig.gateway.port(), "/v1/responses/" + id + "/input_items").status(), 200);
        EXPECT_EQ(
            call(rig.gateway.port(), request("POST", "/v1/responses/" + id + "/cancel")).status(),
            200);
        const auto followed =
            call(rig.gateway.port(),
                 post("/v1/responses",
                      {{"model", "m1"}, {"input", "more"}, {"previous_response_id", id}}));
        EXPECT_EQ(followed.json().value("id", "").substr(0, 6), id.substr(0, 6))
            << "a follow-up left the endpoint that knows the conversation";
        EXPECT_EQ(call(rig.gateway.port(), request("DELETE", "/v1/responses/" + id)).status(), 200);
        EXPECT_EQ(get(rig.gateway.port(), "/v1/responses/" + id).error_code(),
                  "response_not_found");
    }
    EXPECT_GT(rig.a.request_count(), 0U);
    EXPECT_GT(rig.b.request_count(), 0U);
}

TEST(Responses, ThatNobodyStoredAre404) {
    const TwoResponders rig;
    const auto answer =
        call(rig.gateway.port(),
             post("/v1/responses",
                  {{"model", "m1"}, {"input", "x"}, {"previous_response_id", "resp_nobody"}}));
    EXPECT_EQ(answer.status(), 404);
    EXPECT_EQ(answer.error_code(), "response_not_found");
    EXPECT_EQ(rig.a.request_count() + rig.b.request_count(), 0U);
}

TEST(Responses, AreInvisibleToAnotherKey) {
    const Rig rig(
        responses_backend("resp_x"), {},
        {.document = "authentication: {keys: {file: keys, pepper: {env: PEP}}}\n",
         .files = {{"keys", key_file_line("one", "team-a", "sk-first-key-000000", "pep") +
                                key_file_line("two", "team-b", "sk-second-key-00000", "pep")}},
         .environment = {{"PEP", "pep"}}});
    const Headers first{{"Authorization", "Bearer sk-first-key-000000"}};
    const Headers second{{"Authorization", "Bearer sk-second-key-00000"}};
    const auto id =
        call(rig.gateway.port(), post("/v1/responses", {{"model", "m1"}, {"input", "x"}}, first))
            .json()
            .at("id")
            .get<std::string>();
    EXPECT_EQ(get(rig.gateway.port(), "/v1/responses/" + id, first).status(), 200);
    const auto foreign = get(rig.gateway.port(), "/v1/responses/" + id, second);
    EXPECT_EQ(foreign.status(), 404);
    EXPECT_EQ(foreign.error_code(), "response_not_found");
    EXPECT_EQ(call(rig.gateway.port(), request("DELETE", "/v1/responses/" + id, second)).status(),
              404);
}

TEST(Responses, CutUpstreamEndWithTheirOwnErrorEvent) {
    const auto events = responses_events("resp_cut");
    const Rig rig(
        ScriptedBackend::once_then_close(stream_head() + chunk(events[0]) + chunk(events[1])));
    const auto answer =
        call(rig.gateway.port(),
             post("/v1/responses", {{"model", "m1"}, {"input", "x"}, {"stream", true}}));
    EXPECT_FALSE(answer.complete);
    const auto seen = sse_events(answer.body);
    ASSERT_EQ(seen.size(), 3U) << answer.body;
    EXPECT_EQ(seen[2].event, "response.failed");
    EXPECT_EQ(seen[2].json()["response"]["id"], "resp_cut");
    EXPECT_EQ(seen[2].json()["sequence_number"], 2);
}

std::vector<std::string> messages_events() {
    return {
        named_event({{"type", "message_start"},
                     {"message",
                      {{"id", "msg_1"}, {"usage", {{"input_tokens", 5}, {"output_tokens", 0}}}}}}),
        named_event({{"type", "content_block_delta"},
                     {"index", 0},
                     {"delta", {{"type", "text_delta"}, {"text", "Hi"}}}}),
        named_event({{"type", "message_delta"},
                     {"delta", {{"stop_reason", "end_turn"}}},
                     {"usage", {{"output_tokens", 2}}}}),
        named_event({{"type", "message_stop"}})};
}

TEST(Messages, AreStreamedByteForByteAndSettled) {
    const Rig rig(ScriptedBackend::always(as_stream(messages_events())));
    auto body = chat("m1", true);
    body["max_tokens"] = 10;
    const auto answer =
        call(rig.gateway.port(), post("/v1/messages", body, {{"anthropic-version", "2023-06-01"}}));
    EXPECT_EQ(answer.body, joined(messages_events()));
    EXPECT_EQ(rig.backend.requests().back().json(), body)
        << "nothing may be injected into Messages";
    EXPECT_EQ(rig.backend.requests().back().header("anthropic-version"), "2023-06-01");
    const auto line = rig.gateway.access_line(answer.header("x-request-id"));
    EXPECT_EQ(line.value("prompt_tokens", 0), 5);
    EXPECT_EQ(line.value("completion_tokens", 0), 2);
    EXPECT_EQ(line.value("exactness", ""), "exact");
}

TEST(Messages, CutUpstreamEndWithAnErrorEvent) {
    const auto events = messages_events();
    const Rig rig(
        ScriptedBackend::once_then_close(stream_head() + chunk(events[0]) + chunk(events[1])));
    const auto answer = call(rig.gateway.port(), post("/v1/messages", chat("m1", true)));
    EXPECT_FALSE(answer.complete);
    const auto seen = sse_events(answer.body);
    ASSERT_EQ(seen.size(), 3U) << answer.body;
    EXPECT_EQ(seen[2].event, "error");
    EXPECT_EQ(seen[2].json()["type"], "error");
}

TEST(Embeddings, PassThroughAndAreCounted) {
    const Rig rig(ScriptedBackend::always(
        json_response({{"object", "list"},
                       {"data", nlohmann::json::array()},
                       {"usage", {{"prompt_tokens", 9}, {"total_tokens", 9}}}})));
    const auto answer =
        call(rig.gateway.port(), post("/v1/embeddings", {{"model", "m1"}, {"input", "x"}}));
    EXPECT_EQ(answer.status(), 200);
    const auto line = rig.gateway.access_line(answer.header("x-request-id"));
    EXPECT_EQ(line.value("prompt_tokens", 0), 9);
    EXPECT_EQ(line.value("exactness", ""), "exact");
    EXPECT_EQ(line.value("api", ""), "embeddings");
}

TEST(Surfaces, ReachTheBackendUnderTheirOwnPaths) {
    const Rig rig(ScriptedBackend::always(json_response({{"ok", true}})));
    for (const auto* path : {"/v1/completions", "/v1/rerank", "/rerank", "/v1/score", "/tokenize",
                             "/v1/messages/count_tokens", "/pooling", "/classify"}) {
        const auto answer = call(rig.gateway.port(), post(path, {{"model", "m1"}}));
        EXPECT_EQ(answer.status(), 200) << path << ' ' << answer.raw;
        EXPECT_EQ(rig.backend.requests().back().target(), path);
    }
}

}  // namespace
}  // namespace millrace::test
