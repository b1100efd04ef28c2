// A chat stream whose backend fails in mid-stream goes on at another endpoint, where its model asks
// for that: the client sees one stream, and is billed for one answer.
#include <algorithm>
#include <atomic>
#include <memory>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "tests/integration/rig.hpp"

namespace millrace::test {
namespace {

using nlohmann::json;

constexpr int kTokens = 6;
constexpr int kPrompt = 7;

std::string token(int i) {
    return "t" + std::to_string(i) + ' ';
}

std::string text_of(int tokens) {
    std::string out;
    for (int i = 0; i < tokens; ++i) {
        out += token(i);
    }
    return out;
}

enum class End { close, reset, error_event, silence };

/// An engine that says `t0 ` to `t5 `, and goes on where a final message left off. Engines that
/// share a script fail one request after the other as it says.
class Engine {
public:
    struct Failure {
        End end = End::close;
        int after = 2;        ///< tokens of its own
        bool counted = true;  ///< usage in every event
    };
    explicit Engine(std::vector<Failure> failures) : failures_(std::move(failures)) {}

    void operator()(BackendConnection& connection) {
        while (const auto request = connection.read_request()) {
            const auto number = static_cast<std::size_t>(requests_++);
            const bool fails = number < failures_.size();
            if (!speak(connection, request->json(), number, fails ? &failures_[number] : nullptr)) {
                return;
            }
        }
    }

private:
    static json chunk_of(std::size_t number) {
        auto event_json = chat_chunk("");
        event_json["id"] = "chatcmpl-" + std::to_string(number);
        event_json["created"] = 100 + number;
        return event_json;
    }

    static bool speak(BackendConnection& connection, const json& body, std::size_t number,
                      const Failure* failure) {
        const auto& last = body["messages"].back();
        const bool continues = body.value("continue_final_message", false);
        int said = 0;
        if (continues) {
            const std::string content = last["content"];
            while (content.size() > text_of(said).size()) {
                ++said;
            }
        }
        const int limit = body.value("max_tokens", kTokens);
        const bool counted = failure == nullptr || failure->counted;
        const auto usage = [&](json& event_json, int tokens) {
            event_json["usage"] = {{"prompt_tokens", kPrompt + said},
                                   {"completion_tokens", tokens},
                                   {"total_tokens", kPrompt + said + tokens}};
        };
        connection.send(stream_head());
        auto role = chunk_of(number);
        role["choices"][0]["delta"]["role"] = "assistant";
        if (counted) {
            usage(role, 0);
        }
        connection.send(chunk(event(role)));
        const int own = std::min(limit, kTokens - said);
        for (int i = 0; i < own; ++i) {
            if (failure != nullptr && i == failure->after) {
                return fail(connection, failure->end);
            }
            auto one = chunk_of(number);
            one["choices"][0]["delta"]["content"] = token(said + i);
            if (counted) {
                usage(one, i + 1);
            }
            connection.send(chunk(event(one)));
        }
        auto finish = chunk_of(number);
        finish["choices"][0]["delta"] = json::object();
        finish["choices"][0]["finish_reason"] = own == limit ? "length" : "stop";
        if (counted) {
            usage(finish, own);
        }
        connection.send(chunk(event(finish)));
        if (failure != nullptr && failure->after >= own) {
            return fail(connection, failure->end);
        }
        auto final_usage = chunk_of(number);
        final_usage["choices"] = json::array();
        usage(final_usage, own);
        return connection.send(chunk(event(final_usage)) + chunk("data: [DONE]\n\n") +
                               std::string(kLastChunk));
    }

    static bool fail(BackendConnection& connection, End end) {
        switch (end) {
            case End::close: connection.close(); return false;
            case End::reset: connection.reset(); return false;
            case End::silence: connection.wait_until_gone(); return false;
            case End::error_event:
                connection.send(
                    chunk("data: {\"error\": {\"message\": \"engine died\", \"code\": 500}}\n\n") +
                    chunk("data: [DONE]\n\n") + std::string(kLastChunk));
                return true;
        }
        return false;
    }

    std::vector<Failure> failures_;
    std::atomic<int> requests_{0};
};

/// Two endpoints that run the same engine.
struct Pair {
    explicit Pair(std::vector<Engine::Failure> failures,
                  std::string_view model_extra = "retry: {continue_streams: true}")
        : engine(std::make_shared<Engine>(std::move(failures))),
          first([shared = engine](BackendConnection& connection) { (*shared)(connection); }),
          second([shared = engine](BackendConnection& connection) { (*shared)(connection); }),
          gateway({.document = document(model_extra)}) {}

    std::string document(std::string_view model_extra) const {
        auto text =
            one_model(first.url(), "outliers: {failures: 0}, timeouts: {idle: 200ms}", model_extra);
        const auto at = text.find(first.url() + '"') + first.url().size() + 1;
        return text.insert(at, ", \"" + second.url() + '"');
    }
    Message ask(const json& body) const { return call(gateway.port(), post(kChat, body)); }

    /// Bodies that the engines were sent, in order of arrival as far as one stream goes.
    std::vector<json> bodies() const {
        std::vector<json> all;
        for (const auto* backend : {&first, &second}) {
            for (const auto& request : backend->requests()) {
                all.push_back(request.json());
            }
        }
        std::ranges::sort(all, {}, [](const json& body) { return body["messages"].dump().size(); });
        return all;
    }

    json record() const {
        EXPECT_TRUE(gateway.wait_for_access_log(1));
        return gateway.access_log().front();
    }

    std::shared_ptr<Engine> engine;
    ScriptedBackend first;
    ScriptedBackend second;
    GatewayProcess gateway;
};

/// Three endpoints, of which two break after every two tokens.
struct Trio {
    Trio()
        : broken(std::make_shared<Engine>(std::vector<Engine::Failure>(16, {.after = 2}))),
          sound(std::make_shared<Engine>(std::vector<Engine::Failure>{})),
          first([shared = broken](BackendConnection& connection) { (*shared)(connection); }),
          second([shared = broken](BackendConnection& connection) { (*shared)(connection); }),
          third([shared = sound](BackendConnection& connection) { (*shared)(connection); }),
          gateway({.document = document()}) {}

    std::string document() const {
        auto text =
            one_model(first.url(), "outliers: {failures: 0}", "retry: {continue_streams: true}");
        const auto at = text.find(first.url() + '"') + first.url().size() + 1;
        return text.insert(at, ", \"" + second.url() + "\", \"" + third.url() + '"');
    }
    Message ask(const json& body) const { return call(gateway.port(), post(kChat, body)); }
    json record() const {
        EXPECT_TRUE(gateway.wait_for_access_log(1));
        return gateway.access_log().front();
    }

    std::shared_ptr<Engine> broken;
    std::shared_ptr<Engine> sound;
    ScriptedBackend first;
    ScriptedBackend second;
    ScriptedBackend third;
    GatewayProcess gateway;
};

json streamed(bool with_usage = false) {
    auto body = chat("m1", true);
    if (with_usage) {
        body["stream_options"] = {{"include_usage", true}};
    }
    return body;
}

/// One stream to every client: one id, one role, one end.
void expect_one_stream(const Message& answer) {
    EXPECT_TRUE(answer.complete) << answer.raw;
    std::size_t roles = 0;
    std::size_t reasons = 0;
    std::size_t ends = 0;
    std::set<std::string> ids;
    std::set<std::string> created;
    for (const auto& one : sse_events(answer.body)) {
        if (one.done()) {
            ++ends;
            continue;
        }
        const auto data = one.json();
        ids.insert(data["id"].dump());
        created.insert(data["created"].dump());
        for (const auto& choice : data["choices"]) {
            roles += choice["delta"].contains("role");
            reasons += !choice["finish_reason"].is_null();
        }
    }
    EXPECT_EQ(ids.size(), 1U) << answer.body;
    EXPECT_EQ(created.size(), 1U) << answer.body;
    EXPECT_EQ(roles, 1U) << answer.body;
    EXPECT_EQ(reasons, 1U) << answer.body;
    EXPECT_EQ(ends, 1U) << answer.body;
}

class Continuation : public testing::TestWithParam<End> {};

TEST_P(Continuation, IsOneStreamToTheClient) {
    const Pair pair({{.end = GetParam()}});
    const auto answer = pair.ask(streamed());
    const auto verdict = judge_stream(answer.body);
    EXPECT_EQ(verdict.content, text_of(kTokens)) << answer.raw;
    EXPECT_FALSE(verdict.error);
    EXPECT_FALSE(verdict.has_usage) << "the client did not ask";
    expect_one_stream(answer);
    const auto bodies = pair.bodies();
    ASSERT_EQ(bodies.size(), 2U);
    EXPECT_EQ(bodies[1]["continue_final_message"], true);
    EXPECT_EQ(bodies[1]["add_generation_prompt"], false);
    EXPECT_EQ(bodies[1]["messages"].size(), bodies[0]["messages"].size() + 1);
    EXPECT_EQ(bodies[1]["messages"].back(), (json{{"role", "assistant"}, {"content", text_of(2)}}));
    EXPECT_TRUE(pair.gateway.quiet());
}

INSTANTIATE_TEST_SUITE_P(Ends, Continuation,
                         testing::Values(End::close, End::reset, End::error_event, End::silence));

TEST(ContinuationOfUsage, IsTheSumOfWhatTheClientGot) {
    const Pair pair({{.after = 4}});
    const auto answer = pair.ask(streamed(true));
    expect_one_stream(answer);
    const auto events = sse_events(answer.body);
    ASSERT_GE(events.size(), 2U);
    const auto usage = events[events.size() - 2].json()["usage"];
    EXPECT_EQ(usage, (json{{"prompt_tokens", kPrompt},
                           {"completion_tokens", kTokens},
                           {"total_tokens", kPrompt + kTokens}}));
    const auto record = pair.record();
    EXPECT_EQ(record["prompt_tokens"], kPrompt) << record;
    EXPECT_EQ(record["completion_tokens"], kTokens) << record;
    EXPECT_EQ(record["exactness"], "partial") << record;
    EXPECT_EQ(record["attempts"], 2);
}

TEST(ContinuationAfterContinuation, GoesOnFromAllThatWasSaid) {
    const Pair pair({{.after = 2}, {.end = End::reset, .after = 3}});
    const auto answer = pair.ask(streamed(true));
    EXPECT_EQ(judge_stream(answer.body).content, text_of(kTokens)) << answer.raw;
    expect_one_stream(answer);
    const auto bodies = pair.bodies();
    ASSERT_EQ(bodies.size(), 3U);
    EXPECT_EQ(bodies[2]["messages"].back()["content"], text_of(5));
    EXPECT_EQ(pair.record()["completion_tokens"], kTokens);
}

TEST(ContinuationOfNothing, AsksAgainAsBefore) {
    const Pair pair({{.after = 0}});
    const auto answer = pair.ask(streamed(true));
    EXPECT_EQ(judge_stream(answer.body).content, text_of(kTokens)) << answer.raw;
    expect_one_stream(answer);
    const auto bodies = pair.bodies();
    ASSERT_EQ(bodies.size(), 2U);
    EXPECT_EQ(bodies[0], bodies[1]);
    EXPECT_EQ(pair.record()["exactness"], "exact");
}

TEST(ContinuationWithALimit, AsksForWhatIsLeft) {
    const Pair pair({{.after = 2}});
    auto body = streamed();
    body["max_tokens"] = 5;
    const auto answer = pair.ask(body);
    EXPECT_EQ(judge_stream(answer.body).content, text_of(5)) << answer.raw;
    expect_one_stream(answer);
    EXPECT_EQ(pair.bodies()[1]["max_tokens"], 3);
}

TEST(ContinuationOfWhatWasAllSaid, IsItsEnd) {
    const Pair pair({{.after = kTokens}});
    const auto answer = pair.ask(streamed(true));
    EXPECT_EQ(judge_stream(answer.body).content, text_of(kTokens)) << answer.raw;
    expect_one_stream(answer);
    const auto events = sse_events(answer.body);
    ASSERT_GE(events.size(), 2U);
    EXPECT_EQ(events[events.size() - 2].json()["usage"]["completion_tokens"], kTokens);
    EXPECT_EQ(pair.bodies().size(), 1U) << "nobody else is asked";
    const auto record = pair.record();
    EXPECT_EQ(record["completion_tokens"], kTokens) << record;
    EXPECT_EQ(record["outcome"], "completed") << record;
}

TEST(ContinuationOnThreeEndpoints, TriesTheOneThatHasNotFailed) {
    // Two are broken for good: the third has to be found, whoever is asked first.
    for (int i = 0; i < 6; ++i) {
        const Trio trio;
        const auto answer = trio.ask(streamed(true));
        EXPECT_EQ(judge_stream(answer.body).content, text_of(kTokens)) << answer.raw;
        expect_one_stream(answer);
        EXPECT_LE(trio.record()["attempts"], 3);
    }
}

TEST(ContinuationThatIsNotAskedFor, BreaksOffWithAnError) {
    const Pair pair({{.after = 2}}, "");
    const auto answer = pair.ask(streamed());
    const auto verdict = judge_stream(answer.body);
    EXPECT_EQ(verdict.content, text_of(2));
    EXPECT_TRUE(verdict.error);
    EXPECT_FALSE(verdict.done);
    EXPECT_FALSE(answer.complete);
    EXPECT_EQ(pair.bodies().size(), 1U);
}

/// What a second half could not know of.
class ContinuationThatWouldInvent : public testing::TestWithParam<json> {};

TEST_P(ContinuationThatWouldInvent, BreaksOffWithAnError) {
    const Pair pair({{.after = 2}});
    auto body = streamed();
    body.update(GetParam());
    const auto answer = pair.ask(body);
    EXPECT_EQ(judge_stream(answer.body).content, text_of(2));
    EXPECT_TRUE(judge_stream(answer.body).error);
    EXPECT_FALSE(answer.complete);
    EXPECT_EQ(pair.bodies().size(), 1U);
    EXPECT_EQ(pair.record()["completion_tokens"], 2);
}

INSTANTIATE_TEST_SUITE_P(Options, ContinuationThatWouldInvent,
                         testing::Values(json{{"response_format", {{"type", "json_object"}}}},
                                         json{{"tool_choice", "required"}}, json{{"min_tokens", 3}},
                                         json{{"guided_regex", "a*"}}, json{{"store", true}}));

TEST(ContinuationWithoutCounts, BreaksOffWithAnError) {
    const Pair pair({{.after = 2, .counted = false}});
    const auto answer = pair.ask(streamed());
    EXPECT_TRUE(judge_stream(answer.body).error);
    EXPECT_EQ(pair.bodies().size(), 1U);
}

TEST(ContinuationWithoutAnotherEndpoint, BreaksOffWithAnErrorAndABillForWhatCame) {
    const Pair pair({{.after = 2},
                     {.after = 0},
                     {.after = 0},
                     {.after = 0},
                     {.after = 0},
                     {.after = 0},
                     {.after = 0}});
    const auto answer = pair.ask(streamed());
    const auto verdict = judge_stream(answer.body);
    EXPECT_EQ(verdict.content, text_of(2)) << answer.raw;
    EXPECT_TRUE(verdict.error);
    EXPECT_FALSE(answer.complete);
    const auto record = pair.record();
    EXPECT_EQ(record["completion_tokens"], 2) << record;
    EXPECT_EQ(record["prompt_tokens"], kPrompt) << record;
    EXPECT_LE(record["attempts"], 6);
    EXPECT_TRUE(pair.gateway.quiet());
}

}  // namespace
}  // namespace millrace::test
