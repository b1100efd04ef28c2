// Token counts in streams: always asked of the backend, shown only to clients that asked, and
// settled exactly once.
#include <gtest/gtest.h>

#include "tests/integration/rig.hpp"

namespace millrace::test {
namespace {

/// A backend with continuous usage: every chunk carries the count so far.
std::string continuous_stream(int tokens) {
    std::string bytes = stream_head();
    for (int i = 0; i < tokens; ++i) {
        auto one = chat_chunk("t" + std::to_string(i) + ' ');
        one["usage"] = {
            {"prompt_tokens", 7}, {"completion_tokens", i + 1}, {"total_tokens", 8 + i}};
        bytes += chunk(event(one));
    }
    auto last = chat_chunk("");
    last["choices"] = nlohmann::json::array();
    last["usage"] = {
        {"prompt_tokens", 7}, {"completion_tokens", tokens}, {"total_tokens", 7 + tokens}};
    bytes += chunk(event(last));
    return bytes + chunk("data: [DONE]\n\n") + std::string(kLastChunk);
}

nlohmann::json asking(nlohmann::json options) {
    auto body = chat("m1", true);
    body["stream_options"] = std::move(options);
    return body;
}

TEST(Usage, IsAskedForAndHiddenFromAClientThatDidNotAsk) {
    const Rig rig(ScriptedBackend::always(continuous_stream(4)));
    const auto answer = rig.chat_call(chat("m1", true));
    ASSERT_TRUE(answer.complete);
    const auto verdict = judge_stream(answer.body);
    EXPECT_EQ(verdict.content, "t0 t1 t2 t3 ");
    EXPECT_TRUE(verdict.done);
    EXPECT_FALSE(verdict.has_usage) << answer.body;
    const auto seen = rig.backend.requests().back().json();
    EXPECT_EQ(seen["stream_options"]["include_usage"], true);
    EXPECT_EQ(seen["stream_options"]["continuous_usage_stats"], true);
}

TEST(Usage, IsCutOutOfEventsWithoutTouchingTheirOtherBytes) {
    const Rig rig(ScriptedBackend::always(continuous_stream(2)));
    const auto answer = rig.chat_call(chat("m1", true));
    std::string expected;
    for (int i = 0; i < 2; ++i) {
        expected += event(chat_chunk("t" + std::to_string(i) + ' '));
    }
    EXPECT_EQ(answer.body, expected + "data: [DONE]\n\n");
}

TEST(Usage, StaysAtTheEndForAClientThatAskedForTheFinalOne) {
    const Rig rig(ScriptedBackend::always(continuous_stream(3)));
    const auto answer = rig.chat_call(asking({{"include_usage", true}}));
    int with_usage = 0;
    for (const auto& one : sse_events(answer.body)) {
        with_usage +=
            !one.done() && one.json().contains("usage") && one.json()["usage"].is_object();
    }
    EXPECT_EQ(with_usage, 1);
    EXPECT_TRUE(judge_stream(answer.body).usage_event);
}

TEST(Usage, IsUntouchedForAClientThatAskedForBoth) {
    const auto stream = continuous_stream(3);
    const Rig rig(ScriptedBackend::always(stream));
    const auto answer =
        rig.chat_call(asking({{"include_usage", true}, {"continuous_usage_stats", true}}));
    MessageReader reader(MessageReader::Kind::response);
    reader.feed(stream);
    EXPECT_EQ(answer.body, reader.next()->body);
}

TEST(Usage, KeepsOtherStreamOptionsOfTheClient) {
    const Rig rig(ScriptedBackend::always(continuous_stream(1)));
    rig.chat_call(asking({{"include_usage", false}, {"include_obfuscation", false}}));
    const auto options = rig.backend.requests().back().json()["stream_options"];
    EXPECT_EQ(options["include_usage"], true);
    EXPECT_EQ(options["include_obfuscation"], false);
}

TEST(Usage, StopsAskingABackendThatRefusesTheContinuousField) {
    const Rig rig(ScriptedBackend::answering([](const Message& seen) {
        const auto options = seen.json().value("stream_options", nlohmann::json::object());
        if (options.contains("continuous_usage_stats")) {
            return json_response({{"error",
                                   {{"message", "Unknown field: continuous_usage_stats"},
                                    {"type", "BadRequestError"},
                                    {"code", 400}}}},
                                 400);
        }
        return chat_stream();
    }));
    EXPECT_TRUE(judge_stream(rig.chat_call(chat("m1", true)).body).done);
    EXPECT_EQ(rig.backend.request_count(), 2U);
    EXPECT_TRUE(judge_stream(rig.chat_call(chat("m1", true)).body).done);
    EXPECT_EQ(rig.backend.request_count(), 3U) << "the backend is asked again for what it refused";
}

TEST(Usage, IsNotAskedForWhenTheBackendSaysSo) {
    const Rig rig(ScriptedBackend::always(chat_stream(2, false)), "usage: {final: false}");
    EXPECT_TRUE(judge_stream(rig.chat_call(chat("m1", true)).body).done);
    EXPECT_FALSE(rig.backend.requests().back().json().contains("stream_options"));
}

TEST(Usage, IsNotInjectedIntoUnstreamedRequests) {
    const Rig rig;
    rig.chat_call(chat("m1"));
    EXPECT_FALSE(rig.backend.requests().back().json().contains("stream_options"));
}

TEST(Usage, SettlesExactlyFromTheFinalCount) {
    const Rig rig(ScriptedBackend::always(continuous_stream(5)));
    const auto answer = rig.chat_call(chat("m1", true));
    const auto line = rig.gateway.access_line(answer.header("x-request-id"));
    ASSERT_TRUE(line.is_object());
    EXPECT_EQ(line.value("exactness", ""), "exact");
    const auto page = rig.gateway.metrics();
    EXPECT_EQ(page.sum("millrace_tokens_total", {{"model", "m1"}, {"kind", "prompt"}}), 7);
    EXPECT_EQ(page.sum("millrace_tokens_total", {{"model", "m1"}, {"kind", "completion"}}), 5);
    EXPECT_EQ(page.sum("millrace_settlements_total", {{"exactness", "exact"}}), 1);
}

TEST(Usage, SettlesACutStreamPartiallyFromTheLastRunningCount) {
    const auto whole = continuous_stream(5);
    const auto cut = whole.substr(0, whole.find("t3 "));
    const Rig rig(ScriptedBackend::once_then_close(cut));
    const auto answer = rig.chat_call(chat("m1", true));
    EXPECT_TRUE(judge_stream(answer.body).error);
    const auto line = rig.gateway.access_line(answer.header("x-request-id"));
    ASSERT_TRUE(line.is_object());
    EXPECT_EQ(line.value("exactness", ""), "partial");
    EXPECT_EQ(rig.gateway.metrics().sum("millrace_settlements_total", {{"exactness", "partial"}}),
              1);
}

TEST(Usage, DropsTheUsageEventOfCompletionsToo) {
    const auto text_chunk = [](std::string_view text) {
        return nlohmann::json{{"id", "cmpl-1"},
                              {"object", "text_completion"},
                              {"choices", nlohmann::json::array({{{"index", 0}, {"text", text}}})}};
    };
    auto last = text_chunk("");
    last["choices"] = nlohmann::json::array();
    last["usage"] = {{"prompt_tokens", 2}, {"completion_tokens", 2}, {"total_tokens", 4}};
    const Rig rig(ScriptedBackend::always(
        stream_head() + chunk(event(text_chunk("a")) + event(text_chunk("b"))) +
        chunk(event(last) + "data: [DONE]\n\n") + std::string(kLastChunk)));
    const auto answer =
        call(rig.gateway.port(),
             post("/v1/completions", {{"model", "m1"}, {"prompt", "x"}, {"stream", true}}));
    const auto verdict = judge_stream(answer.body);
    EXPECT_EQ(verdict.content, "ab");
    EXPECT_TRUE(verdict.done);
    EXPECT_FALSE(verdict.has_usage);
}

}  // namespace
}  // namespace millrace::test
