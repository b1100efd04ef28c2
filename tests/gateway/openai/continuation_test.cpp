#include "gateway/openai/continuation.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "gateway/openai/stream_filter.hpp"

namespace millrace::openai {
namespace {

using metrics::Dialect;
using nlohmann::json;

/// Feeds a piece and gives back what is forwarded.
std::string fed(StreamFilter& filter, const std::string& piece) {
    std::vector<std::string_view> out;
    filter.feed(piece, out);
    std::string text;
    for (const auto view : out) {
        text += view;
    }
    return text;
}

std::string event(const json& data) {
    return "data: " + data.dump() + "\n\n";
}

json usage(int prompt, int completion) {
    return {{"prompt_tokens", prompt},
            {"completion_tokens", completion},
            {"total_tokens", prompt + completion}};
}

json chunk_of(const std::string& id, json delta, int completion, int prompt = 10) {
    return {
        {"id", id},
        {"model", id},
        {"created", id == "a" ? 1 : 2},
        {"choices",
         json::array({{{"index", 0}, {"delta", std::move(delta)}, {"finish_reason", nullptr}}})},
        {"usage", usage(prompt, completion)}};
}

RequestFields fields_of(const std::string& body) {
    Peek peek;
    EXPECT_TRUE(peek.feed(body));
    auto fields = peek.finish(body);
    EXPECT_TRUE(fields);
    return fields.value_or(RequestFields{});
}

const std::string kBody =
    R"({"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]})";

/// A stream that said `text` in one event, then broke off.
struct Broken {
    explicit Broken(const std::string& text = "one two ", const std::string& body = kBody,
                    ShowUsage show = ShowUsage::nothing)
        : request(body), fields(fields_of(body)), filter(Dialect::chat, show) {
        filter.join(continuation);
        forwarded += fed(filter, event(chunk_of("a", {{"role", "assistant"}, {"content", ""}}, 0)));
        if (!text.empty()) {
            forwarded += fed(filter, event(chunk_of("a", {{"content", text}}, 2)));
        }
    }
    bool break_off() { return continuation.break_off(filter.facts(), fields, request); }
    json next_request() const {
        BodyEdit edit;
        continuation.edit(edit);
        return json::parse(edit.apply(request));
    }

    std::string request;
    RequestFields fields;
    Continuation continuation;
    StreamFilter filter;
    std::string forwarded;
};

TEST(Continuation, AsksForWhatFollowsTheTextThatWasSaid) {
    Broken broken("say \"hi\"\nüü \\ ");
    ASSERT_TRUE(broken.break_off());
    EXPECT_TRUE(broken.continuation.goes_on());
    const auto next = broken.next_request();
    EXPECT_EQ(next["continue_final_message"], true);
    EXPECT_EQ(next["add_generation_prompt"], false);
    ASSERT_EQ(next["messages"].size(), 2U);
    EXPECT_EQ(next["messages"][1],
              (json{{"role", "assistant"}, {"content", "say \"hi\"\nüü \\ "}}));
    EXPECT_EQ(next["model"], "m");
}

TEST(Continuation, ReducesTheLimitByWhatWasSaid) {
    Broken broken("x", R"({"max_tokens":10,"messages":[1],"max_completion_tokens":9})");
    ASSERT_TRUE(broken.break_off());
    const auto next = broken.next_request();
    EXPECT_EQ(next["max_completion_tokens"], 7) << "the newer name counts";
    EXPECT_EQ(next["max_tokens"], 7);
}

TEST(Continuation, EndsWhereTheLimitIsReached) {
    Broken broken("x", R"({"max_tokens":2,"messages":[1]})");
    EXPECT_FALSE(broken.break_off());
    EXPECT_FALSE(broken.continuation.splices());
}

TEST(Continuation, OfNothingIsTheSameRequest) {
    Broken broken("");
    ASSERT_TRUE(broken.break_off());
    EXPECT_TRUE(broken.continuation.splices());
    EXPECT_FALSE(broken.continuation.goes_on());
    const auto bill = broken.continuation.bill(metrics::Settlement{
        metrics::Exactness::exact,
        {.prompt = 10, .cached = 3, .completion = 5, .reasoning = {}, .cache_write = {}}});
    EXPECT_EQ(bill->exactness, metrics::Exactness::exact);
    EXPECT_EQ(bill->tokens.cached, 3U);
}

class SpeaksAgainst : public testing::TestWithParam<const char*> {};

TEST_P(SpeaksAgainst, Continuing) {
    Broken broken("x", std::string(R"({"messages":[1],)") + GetParam() + "}");
    EXPECT_FALSE(broken.break_off());
}

INSTANTIATE_TEST_SUITE_P(
    Members, SpeaksAgainst,
    testing::Values(R"("tool_choice":"required")", R"("tool_choice":{"type":"function"})",
                    R"("response_format":{"type":"json_schema"})", R"("guided_json":{})",
                    R"("structured_outputs":{"regex":"a"})", R"("min_tokens":4)", R"("echo":true)",
                    R"("continue_final_message":true)", R"("add_generation_prompt":true)",
                    R"("use_beam_search":true)"));

class LetsGoOn : public testing::TestWithParam<const char*> {};

TEST_P(LetsGoOn, Continuing) {
    Broken broken("x", std::string(R"({"messages":[1],)") + GetParam() + "}");
    EXPECT_TRUE(broken.break_off());
}

INSTANTIATE_TEST_SUITE_P(Members, LetsGoOn,
                         testing::Values(R"("tool_choice":"auto")", R"("tool_choice":"none")",
                                         R"("response_format":{"type":"text"})",
                                         R"("guided_json":null)", R"("echo":false)",
                                         R"("tools":[{"type":"function"}])",
                                         R"("max_tokens":null)"));

class SaysMoreThanText : public testing::TestWithParam<json> {};

TEST_P(SaysMoreThanText, AndCannotBeContinued) {
    Broken broken;
    fed(broken.filter, event(GetParam()));
    EXPECT_FALSE(broken.continuation.may_go_on(broken.filter.facts()));
    EXPECT_FALSE(broken.break_off());
}

json finished() {
    auto data = chunk_of("a", json::object(), 3);
    data["choices"][0]["finish_reason"] = "stop";
    return data;
}

json second_choice() {
    auto data = chunk_of("a", {{"content", "x"}}, 3);
    data["choices"][0]["index"] = 1;
    return data;
}

INSTANTIATE_TEST_SUITE_P(
    Events, SaysMoreThanText,
    testing::Values(chunk_of("a", {{"reasoning_content", "hm"}}, 3),
                    chunk_of("a", {{"tool_calls", json::array({1})}}, 3),
                    chunk_of("a", {{"refusal", "no"}}, 3), finished(), second_choice(),
                    chunk_of("a", {{"content", std::string(SaidText::kMost, 'x')}}, 3)));

TEST(Continuation, RepeatsNoTextThatIsNoJson) {
    for (const auto* text : {R"(\x)", R"(\ud800)", "\xff", "\n"}) {
        Broken broken("");
        auto one = chunk_of("a", {{"content", "@"}}, 2).dump();
        one.replace(one.find('@'), 1, text);
        fed(broken.filter, "data: " + one + (*text == '\n' ? "\ndata: \n\n" : "\n\n"));
        EXPECT_FALSE(broken.break_off()) << text;
    }
}

TEST(Continuation, NeedsCountedTokens) {
    Broken broken("");
    auto uncounted = chunk_of("a", {{"content", "x"}}, 1);
    uncounted.erase("usage");
    StreamFilter filter(Dialect::chat, ShowUsage::nothing);
    Continuation continuation;
    filter.join(continuation);
    fed(filter, event(uncounted));
    EXPECT_FALSE(continuation.may_go_on(filter.facts()));
}

TEST(Continuation, GivenUpHoldsNothing) {
    Broken broken;
    broken.continuation.give_up();
    EXPECT_TRUE(broken.continuation.said().content.empty());
    EXPECT_FALSE(broken.break_off());
}

/// The stream of another backend, joined to a broken one.
struct Joined : Broken {
    explicit Joined(ShowUsage show) : Broken("one two ", kBody, show), second(Dialect::chat, show) {
        EXPECT_TRUE(break_off());
        second.join(continuation);
    }
    json spliced(const json& data) {
        const auto text = fed(second, event(data));
        EXPECT_TRUE(text.empty() || (text.starts_with("data: ") && text.ends_with("\n\n"))) << text;
        return text.empty() ? json() : json::parse(text.substr(6));
    }
    StreamFilter second;
};

TEST(Splice, GivesTheEventsTheFirstStreamsIdentity) {
    Joined joined(ShowUsage::nothing);
    const auto seen =
        joined.spliced(chunk_of("b", {{"role", "assistant"}, {"content", "three"}}, 1, 12));
    EXPECT_EQ(seen["id"], "a");
    EXPECT_EQ(seen["created"], 1);
    EXPECT_EQ(seen["choices"][0]["delta"], (json{{"content", "three"}}));
    EXPECT_FALSE(seen.contains("usage"));
}

TEST(Splice, DropsTheSecondRole) {
    Joined joined(ShowUsage::everything);
    EXPECT_TRUE(
        joined.spliced(chunk_of("b", {{"role", "assistant"}, {"content", ""}}, 0, 12)).is_null());
}

TEST(Splice, KeepsTheReasonOfTheEnd) {
    Joined joined(ShowUsage::nothing);
    auto data = chunk_of("b", json::object(), 3, 12);
    data["choices"][0]["finish_reason"] = "stop";
    EXPECT_EQ(joined.spliced(data)["choices"][0]["finish_reason"], "stop");
    EXPECT_EQ(fed(joined.second, "data: [DONE]\n\n"), "data: [DONE]\n\n");
    EXPECT_TRUE(joined.second.facts().saw_terminal);
}

TEST(Splice, CountsWhatTheClientGot) {
    json last = {{"id", "b"}, {"created", 2}, {"choices", json::array()}, {"usage", usage(12, 5)}};
    last["usage"]["prompt_tokens_details"] = {{"cached_tokens", 4}};
    Joined shown(ShowUsage::final_only);
    EXPECT_EQ(shown.spliced(last)["usage"], usage(10, 7));
    Joined hidden(ShowUsage::nothing);
    EXPECT_TRUE(hidden.spliced(last).is_null());
    Joined everywhere(ShowUsage::everything);
    EXPECT_EQ(everywhere.spliced(chunk_of("b", {{"content", "x"}}, 1, 12))["usage"], usage(10, 3));

    const auto bill = shown.continuation.bill(metrics::Settlement{
        metrics::Exactness::exact,
        {.prompt = 12, .cached = {}, .completion = 5, .reasoning = {}, .cache_write = {}}});
    ASSERT_TRUE(bill);
    EXPECT_EQ(bill->exactness, metrics::Exactness::partial);
    EXPECT_EQ(bill->tokens.prompt, 10U);
    EXPECT_EQ(bill->tokens.completion, 7U);
    EXPECT_EQ(shown.continuation.bill(std::nullopt)->tokens.completion, 2U);
}

TEST(Splice, GoesOnFromAllAttempts) {
    Joined joined(ShowUsage::nothing);
    joined.spliced(chunk_of("b", {{"content", "three "}}, 1, 12));
    ASSERT_TRUE(
        joined.continuation.break_off(joined.second.facts(), joined.fields, joined.request));
    EXPECT_EQ(joined.next_request()["messages"][1]["content"], "one two three ");
    EXPECT_EQ(joined.continuation.bill(std::nullopt)->tokens.completion, 3U);
    EXPECT_EQ(joined.continuation.bill(std::nullopt)->tokens.prompt, 10U);
}

TEST(Ending, IsWhatTheStreamLacks) {
    Broken broken("one two ", kBody, ShowUsage::final_only);
    EXPECT_EQ(broken.filter.ending(), "") << "not all was said";
    fed(broken.filter, event(finished()));
    const auto ending = broken.filter.ending();
    ASSERT_TRUE(ending.ends_with("\n\ndata: [DONE]\n\n")) << ending;
    const auto last = json::parse(ending.substr(6, ending.find("\n\n") - 6));
    EXPECT_EQ(last["id"], "a");
    EXPECT_EQ(last["created"], 1);
    EXPECT_EQ(last["model"], "a");
    EXPECT_EQ(last["choices"], json::array());
    EXPECT_EQ(last["usage"], usage(10, 3));
    fed(broken.filter, "data: [DONE]\n\n");
    EXPECT_EQ(broken.filter.ending(), "") << "nothing is lacking";
}

TEST(Ending, IsTheMarkerAloneWhereNobodyAskedForUsage) {
    Broken broken;
    fed(broken.filter, event(finished()));
    EXPECT_EQ(broken.filter.ending(), "data: [DONE]\n\n");
}

TEST(Ending, CountsAllAttempts) {
    Joined joined(ShowUsage::final_only);
    auto data = chunk_of("b", {{"content", "three"}}, 4, 12);
    data["choices"][0]["finish_reason"] = "stop";
    joined.spliced(data);
    const auto ending = joined.second.ending();
    EXPECT_EQ(json::parse(ending.substr(6, ending.find("\n\n") - 6))["usage"], usage(10, 6));
}

TEST(ErrorInMidStream, IsKeptBackWhereAnotherMayGoOn) {
    Broken broken;
    const std::string error = "data: {\"error\":{\"message\":\"dead\",\"code\":500}}\n\n";
    EXPECT_EQ(fed(broken.filter, error + "data: [DONE]\n\n"), "");
    EXPECT_TRUE(broken.filter.interrupted());
    EXPECT_EQ(broken.filter.facts().error->message, "dead");
    EXPECT_FALSE(broken.filter.facts().saw_terminal);
    EXPECT_TRUE(broken.break_off());
}

TEST(ErrorInMidStream, IsRelayedWhenItIsAboutTheRequest) {
    Broken broken;
    const std::string error = "data: {\"error\":{\"message\":\"too long\",\"code\":400}}\n\n";
    EXPECT_EQ(fed(broken.filter, error), error);
    EXPECT_FALSE(broken.filter.interrupted());
}

}  // namespace
}  // namespace millrace::openai
