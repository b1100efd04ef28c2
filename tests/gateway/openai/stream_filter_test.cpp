#include "gateway/openai/stream_filter.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "metrics/tokens/json_text.hpp"

namespace millrace::openai {
namespace {

using metrics::Dialect;
using metrics::TokenUsage;

/// Every fact as one line, so that two runs compare as text.
std::string describe(const StreamFilter& filter) {
    const StreamFacts& facts = filter.facts();
    const auto count = [](const std::optional<std::uint64_t>& value) {
        return value ? std::to_string(*value) : std::string("-");
    };
    std::string out = "content=" + std::to_string(facts.content_events) +
                      (facts.saw_content ? "!" : "") + " events=" + std::to_string(facts.events) +
                      "/" + std::to_string(facts.forwarded_events) +
                      " big=" + std::to_string(facts.oversized_events) +
                      " unread=" + std::to_string(facts.unread_events) +
                      " terminal=" + std::to_string(facts.saw_terminal) +
                      " id=" + facts.response_id + " finish=" + facts.finish_reason +
                      " first=" + std::to_string(static_cast<int>(filter.first_event()));
    if (facts.final_usage) {
        out += " final=" + count(facts.final_usage->prompt) + "," +
               count(facts.final_usage->cached) + "," + count(facts.final_usage->completion) + "," +
               count(facts.final_usage->reasoning);
    }
    if (facts.error) {
        out += " error=" + facts.error->type + "/" + facts.error->code + "/" +
               std::to_string(metrics::status_of(*facts.error)) + "/" + facts.error->message;
    }
    for (const auto& choice : facts.choices) {
        out += " [" + std::to_string(choice.index) + (choice.finished ? "f" : "") + " " +
               std::to_string(choice.deltas) + " " + count(choice.prompt) + " " +
               count(choice.completion) + "]";
    }
    return out;
}

struct Relayed {
    std::string output;
    std::string facts;
};

Relayed run(const std::vector<std::string>& pieces, Dialect dialect, ShowUsage show,
            bool clean = true) {
    StreamFilter filter(dialect, show);
    Relayed result;
    std::vector<std::string_view> out;
    for (const std::string& piece : pieces) {
        out.clear();
        // A copy that dies after its turn, so that a view kept too long shows up under the
        // sanitizers.
        const std::string bytes = piece;
        filter.feed(bytes, out);
        for (const std::string_view view : out) {
            result.output += view;
        }
    }
    out.clear();
    filter.finish(clean, out);
    for (const std::string_view view : out) {
        result.output += view;
    }
    result.facts = describe(filter);
    return result;
}

/// Runs the stream whole, cut in two at every offset and byte by byte; all must agree.
Relayed run_every_way(const std::string& stream, Dialect dialect, ShowUsage show,
                      bool clean = true) {
    const Relayed whole = run({stream}, dialect, show, clean);
    for (std::size_t at = 1; at < stream.size(); ++at) {
        const Relayed cut = run({stream.substr(0, at), stream.substr(at)}, dialect, show, clean);
        EXPECT_EQ(cut.output, whole.output) << "cut at " << at;
        EXPECT_EQ(cut.facts, whole.facts) << "cut at " << at;
        if (testing::Test::HasFailure()) {
            return whole;
        }
    }
    std::vector<std::string> bytes;
    for (const char byte : stream) {
        bytes.emplace_back(1, byte);
    }
    const Relayed bytewise = run(bytes, dialect, show, clean);
    EXPECT_EQ(bytewise.output, whole.output);
    EXPECT_EQ(bytewise.facts, whole.facts);
    return whole;
}

constexpr std::string_view kHead =
    R"(data: {"id":"chatcmpl-1","object":"chat.completion.chunk","choices":[)";

std::string chat(std::string_view choice, std::string_view tail) {
    return std::string(kHead) + std::string(choice) + "]" + std::string(tail) + "}\n\n";
}
std::string usage(int prompt, int completion) {
    return ",\"usage\":{\"prompt_tokens\":" + std::to_string(prompt) +
           ",\"total_tokens\":0,\"completion_tokens\":" + std::to_string(completion) + "}";
}

const std::string kRole =
    R"({"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null})";
const std::string kHello =
    R"({"index":0,"delta":{"content":"say \"usage\":{} "},"finish_reason":null})";
const std::string kStop = R"({"index":0,"delta":{},"finish_reason":"stop"})";

const std::string kContinuous = chat(kRole, usage(5, 0)) + ": ping\n\n" +
                                chat(kHello, usage(5, 1)) + chat(kHello, usage(5, 2)) +
                                chat(kStop, usage(5, 3)) + chat("", usage(5, 3)) +
                                "data: [DONE]\n\n";
const std::string kContinuousFacts =
    "content=2! events=7/7 big=0 unread=0 terminal=1 id=chatcmpl-1 finish=stop first=1 "
    "final=5,-,3,- [0f 2 5 3]";

TEST(StreamFilter, HidesEverythingFromAClientThatAskedForNothing) {
    const Relayed result = run_every_way(kContinuous, Dialect::chat, ShowUsage::nothing);
    EXPECT_EQ(result.output, chat(kRole, "") + ": ping\n\n" + chat(kHello, "") + chat(kHello, "") +
                                 chat(kStop, "") + "data: [DONE]\n\n");
    EXPECT_EQ(result.facts,
              "content=2! events=7/6 big=0 unread=0 terminal=1 id=chatcmpl-1 finish=stop first=1 "
              "final=5,-,3,- "
              "[0f 2 5 3]");
}

TEST(StreamFilter, LeavesTheFinalUsageToAClientThatAskedForIt) {
    const Relayed result = run_every_way(kContinuous, Dialect::chat, ShowUsage::final_only);
    EXPECT_EQ(result.output, chat(kRole, "") + ": ping\n\n" + chat(kHello, "") + chat(kHello, "") +
                                 chat(kStop, "") + chat("", usage(5, 3)) + "data: [DONE]\n\n");
    EXPECT_EQ(result.facts, kContinuousFacts);
}

TEST(StreamFilter, TouchesNothingForAClientThatAskedForBoth) {
    const Relayed result = run_every_way(kContinuous, Dialect::chat, ShowUsage::everything);
    EXPECT_EQ(result.output, kContinuous);
    EXPECT_EQ(result.facts, kContinuousFacts);
}

TEST(StreamFilter, KeepsTheBackendsNullPlaceholder) {
    const std::string null = ",\"usage\":null";
    const std::string stream = chat(kRole, null) + chat(kHello, usage(5, 1)) + chat(kStop, null) +
                               chat("", usage(5, 1)) + "data: [DONE]\n\n";
    EXPECT_EQ(run_every_way(stream, Dialect::chat, ShowUsage::final_only).output,
              chat(kRole, null) + chat(kHello, null) + chat(kStop, null) + chat("", usage(5, 1)) +
                  "data: [DONE]\n\n");
    EXPECT_EQ(run_every_way(stream, Dialect::chat, ShowUsage::nothing).output,
              chat(kRole, "") + chat(kHello, "") + chat(kStop, "") + "data: [DONE]\n\n");
}

TEST(StreamFilter, CutsOneAdjoiningCommaWhereverUsageStands) {
    struct Case {
        const char* event;
        const char* expected;
    };
    for (const Case& c : std::vector<Case>{
             {R"(data: {"usage":{"completion_tokens":1},"choices":[{"index":0}]})",
              R"(data: {"choices":[{"index":0}]})"},
             {R"(data: { "usage" : {"completion_tokens":1} , "choices":[{}]})",
              R"(data: {  "choices":[{}]})"},
             {R"(data: {"a":1 , "usage":{}, "choices":[{}] })",
              R"(data: {"a":1 , "choices":[{}] })"},
             {R"(data:{"usage":{"prompt_tokens":1}})", R"(data:{})"},
             {R"(data: {"choices":[{"usage":{}}],"x":{"usage":{}}})",
              R"(data: {"choices":[{"usage":{}}],"x":{"usage":{}}})"},
             {R"(data: {"choices":[{}],"usage":7})", R"(data: {"choices":[{}]})"},
             {R"(data: {"choices":[],"usage":null})", R"(data: {"choices":[]})"},
             {R"(data: {"choices":[],"usage":{}})", nullptr},
             {R"(data: { "choices" : [ ] , "usage" : {"prompt_tokens":1} })", nullptr},
             {R"(data: {"choices":[{}],"usage":{"prompt_tokens":1}} trailing)",
              R"(data: {"choices":[{}],"usage":{"prompt_tokens":1}} trailing)"},
             {R"(data: {"choices":[{}],"usage":{"prompt_tokens":1})",
              R"(data: {"choices":[{}],"usage":{"prompt_tokens":1})"},
         }) {
        const std::string expected = c.expected == nullptr ? "" : std::string(c.expected) + "\n\n";
        EXPECT_EQ(
            run_every_way(std::string(c.event) + "\n\n", Dialect::chat, ShowUsage::nothing).output,
            expected)
            << c.event;
    }
}

TEST(StreamFilter, ReadsEveryLineEndingAndShape) {
    for (const std::string end : {"\n", "\r\n", "\r"}) {
        const std::string text =
            R"({"choices":[{"index":0,"text":"hi"}],"usage":{"prompt_tokens":2,"completion_tokens":1}})";
        const std::string last =
            R"({"choices":[],"usage":{"prompt_tokens":2,"completion_tokens":1}})";
        const std::string shown = R"({"choices":[{"index":0,"text":"hi"}]})";
        const std::string stream =
            "\xEF\xBB\xBF"
            "data:" +
            text + end + end + ": comment" + end + end + "id: 7" + end + "data: " + text + end +
            "retry: 5" + end + end + "data: " + last + end + end + end + "data: [DONE]" + end + end;
        const Relayed result = run_every_way(stream, Dialect::completions, ShowUsage::nothing);
        EXPECT_EQ(result.output,
                  "\xEF\xBB\xBF"
                  "data:" +
                      shown + end + end + ": comment" + end + end + "id: 7" + end + "data: " +
                      shown + end + "retry: 5" + end + end + end + "data: [DONE]" + end + end);
        EXPECT_EQ(result.facts,
                  "content=2! events=5/4 big=0 unread=0 terminal=1 id= finish= first=1 "
                  "final=2,-,1,- [0 2 2 1]");
    }
}

TEST(StreamFilter, CutsDataThatSpansSeveralLines) {
    const std::string stream =
        "data: {\"choices\":[{\"index\":0}],\ndata: \"usage\":\ndata: {\"prompt_tokens\":1}\ndata: "
        "}\n\n";
    EXPECT_EQ(run_every_way(stream, Dialect::chat, ShowUsage::nothing).output,
              "data: {\"choices\":[{\"index\":0}]\ndata: \ndata: \ndata: }\n\n");
    EXPECT_EQ(run_every_way("data: {\"choices\":\ndata: [],\"usage\":{}}\n\n", Dialect::chat,
                            ShowUsage::nothing)
                  .output,
              "");
}

TEST(StreamFilter, CountsChoicesApartAndKnowsEveryKindOfContent) {
    std::string stream;
    for (
        const char* choice :
        {R"({"index":1,"delta":{"reasoning_content":"hm"}})",
         R"({"index":0,"delta":{"tool_calls":[{"index":0}]}})",
         R"({"index":1,"delta":{"content":"a"}},{"index":0,"delta":{"refusal":"no"}})",
         R"({"index":0,"delta":{"role":"assistant","content":"","tool_calls":[],"reasoning":null}})"}) {
        stream += chat(choice, "");
    }
    stream += chat(R"({"index":1,"delta":{},"finish_reason":"length"})", usage(4, 2));
    const Relayed result = run_every_way(stream, Dialect::chat, ShowUsage::nothing);
    EXPECT_EQ(result.facts,
              "content=4! events=5/5 big=0 unread=0 terminal=0 id=chatcmpl-1 finish=length first=1 "
              "[1f 2 4 2] [0 2 - -]");
}

TEST(StreamFilter, SeesTheFirstContentTokenAndNotTheRole) {
    StreamFilter filter(Dialect::chat, ShowUsage::nothing);
    std::vector<std::string_view> out;
    filter.feed(": keep-alive\n\n", out);
    EXPECT_EQ(filter.first_event(), FirstEvent::pending);
    filter.feed(chat(kRole, ""), out);
    EXPECT_FALSE(filter.facts().saw_content);
    EXPECT_EQ(filter.first_event(), FirstEvent::normal);
    filter.feed(chat(kHello, ""), out);
    EXPECT_TRUE(filter.facts().saw_content);
}

TEST(StreamFilter, TakesUsageBesideTheFinishReasonAsFinal) {
    // Backends that never send an event with empty choices.
    const std::string stream = chat(kHello, "") + chat(kStop, usage(7, 9)) + "data: [DONE]\n\n";
    EXPECT_NE(run_every_way(stream, Dialect::chat, ShowUsage::nothing).facts.find("final=7,-,9,-"),
              std::string::npos);
    // Not when the stream was cut: more may have been coming.
    const std::string cut = chat(kHello, "") + chat(kStop, usage(7, 9));
    EXPECT_EQ(run_every_way(cut, Dialect::chat, ShowUsage::nothing, false).facts.find("final"),
              std::string::npos);
    // Not for several choices, whichever of them finishes while it is alone.
    const std::string other = chat(R"({"index":1,"delta":{"content":"x"}})", "");
    const std::string stop = chat(kStop, usage(7, 9));
    for (const std::string& two : {other + stop, stop + other}) {
        const Relayed result =
            run_every_way(two + "data: [DONE]\n\n", Dialect::chat, ShowUsage::nothing);
        EXPECT_EQ(result.facts.find("final"), std::string::npos) << result.facts;
    }
}

TEST(StreamFilter, ReportsErrorsInEveryDialect) {
    struct Case {
        Dialect dialect;
        const char* event;
        const char* error;
    };
    for (
        const Case& c : std::vector<Case>{
            {Dialect::chat,
             "data: "
             "{\"error\":{\"message\":\"m\",\"type\":\"BadRequestError\",\"param\":null,\"code\":"
             "400}}\n\n",
             "BadRequestError//400/m"},
            {Dialect::chat,
             "data: "
             "{\"object\":\"error\",\"message\":\"m\",\"type\":\"NotFoundError\",\"code\":404}\n\n",
             "NotFoundError//404/m"},
            {Dialect::chat, "event: error\ndata: {\"message\":\"m\"}\n\n", "//502/m"},
            {Dialect::completions, "data: {\"error\":\"plain\"}\n\n", "//502/plain"},
            {Dialect::responses,
             "event: error\ndata: "
             "{\"type\":\"error\",\"code\":\"rate_limit_exceeded\",\"message\":\"m\",\"param\":"
             "null}\n\n",
             "error/rate_limit_exceeded/429/m"},
            {Dialect::responses,
             "event: response.failed\ndata: "
             "{\"type\":\"response.failed\",\"response\":{\"id\":\"resp_1\",\"error\":{\"code\":"
             "\"server_error\",\"message\":\"m\"}}}\n\n",
             "/server_error/500/m"},
            {Dialect::messages,
             "event: error\ndata: "
             "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"m\"}}\n\n",
             "overloaded_error//529/m"},
        }) {
        const Relayed result = run_every_way(c.event, c.dialect, ShowUsage::nothing);
        EXPECT_NE(result.facts.find(std::string("error=") + c.error), std::string::npos)
            << result.facts;
        EXPECT_NE(result.facts.find("first=2"), std::string::npos) << result.facts;
        EXPECT_EQ(result.output, c.event);
    }
    const std::string late =
        chat(kHello, "") + "data: {\"error\":{\"message\":\"m\",\"code\":500}}\n\ndata: [DONE]\n\n";
    const Relayed result = run_every_way(late, Dialect::chat, ShowUsage::nothing);
    EXPECT_NE(result.facts.find("first=1 error=//500/m"), std::string::npos) << result.facts;
    EXPECT_NE(run_every_way(chat(kHello, R"(,"error":null)"), Dialect::chat, ShowUsage::nothing)
                  .facts.find("first=1 ["),
              std::string::npos);
}

TEST(StreamFilter, ReadsTheResponsesDialect) {
    const std::string stream =
        "event: response.created\ndata: "
        "{\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"resp_9\","
        "\"error\":null,\"usage\":null}}\n\n"
        "event: response.output_text.delta\ndata: "
        "{\"type\":\"response.output_text.delta\",\"item_id\":\"x\",\"delta\":\"hi\"}\n\n"
        "event: response.completed\ndata: "
        "{\"type\":\"response.completed\",\"response\":{\"id\":\"resp_9\",\"output\":[{\"id\":"
        "\"no\"}],\"usage\":{\"input_tokens\":3,\"input_tokens_details\":{\"cached_tokens\":2},"
        "\"output_tokens\":1,\"output_tokens_details\":{\"reasoning_tokens\":0}}}}\n\n";
    const Relayed result = run_every_way(stream, Dialect::responses, ShowUsage::nothing);
    EXPECT_EQ(result.output, stream) << "usage is never injected here, so nothing is hidden";
    EXPECT_EQ(result.facts,
              "content=1! events=3/3 big=0 unread=0 terminal=1 id=resp_9 finish=completed first=1 "
              "final=3,2,1,0 [0 1 - -]");
}

TEST(StreamFilter, ReadsTheMessagesDialect) {
    const std::string stream =
        "event: message_start\ndata: "
        "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"usage\":{\"input_tokens\":10,"
        "\"cache_read_input_tokens\":5,\"output_tokens\":1}}}\n\n"
        "event: ping\ndata: {\"type\":\"ping\"}\n\n"
        "event: content_block_delta\ndata: "
        "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":"
        "\"hi\"}}\n\n"
        "event: message_delta\ndata: "
        "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_"
        "tokens\":4}}\n\n"
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    const Relayed result = run_every_way(stream, Dialect::messages, ShowUsage::nothing);
    EXPECT_EQ(result.output, stream);
    EXPECT_EQ(result.facts,
              "content=1! events=5/5 big=0 unread=0 terminal=1 id=msg_1 finish=end_turn first=1 "
              "final=15,5,4,- [0 1 15 -]");
    const Relayed cut = run(std::vector<std::string>{stream.substr(0, 300)}, Dialect::messages,
                            ShowUsage::nothing, false);
    EXPECT_EQ(cut.facts.find("final"), std::string::npos) << "message_start knows the prompt only";
}

TEST(StreamFilter, CutsAtAnEventBoundaryUnlessTheBodyEndedCleanly) {
    const std::string whole = chat(kHello, usage(5, 1));
    const std::string part = whole.substr(0, whole.size() - 1);
    EXPECT_EQ(run({whole + part}, Dialect::chat, ShowUsage::nothing, false).output,
              chat(kHello, ""));
    const Relayed clean = run_every_way(whole + part, Dialect::chat, ShowUsage::nothing, true);
    EXPECT_EQ(clean.output,
              chat(kHello, "") + chat(kHello, "").substr(0, chat(kHello, "").size() - 1));
    EXPECT_NE(clean.facts.find("content=2!"), std::string::npos);
}

TEST(StreamFilter, TakesAnEndMarkerWithoutItsBlankLine) {
    const std::string whole = chat(kHello, usage(5, 1));
    for (const auto* end : {"data: [DONE]", "data: [DONE]\n", "data:[DONE]\r\n"}) {
        const Relayed relayed =
            run_every_way(whole + end, Dialect::chat, ShowUsage::nothing, false);
        EXPECT_EQ(relayed.output, chat(kHello, "") + end);
        EXPECT_NE(relayed.facts.find("terminal=1"), std::string::npos) << end;
    }
    const std::string stop = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n";
    EXPECT_EQ(run_every_way(stop, Dialect::messages, ShowUsage::nothing, false).output, stop);
}

TEST(StreamFilter, PassesOversizedEventsThroughAndCountsThem) {
    const std::string big =
        R"({"index":0,"delta":{"content":")" + std::string(70'000, 'x') + R"("}})";
    const std::string stream =
        chat(kRole, usage(5, 0)) + chat(big, usage(5, 1)) + chat(kStop, usage(5, 2));
    const std::string expected = chat(kRole, "") + chat(big, usage(5, 1)) + chat(kStop, "");
    const std::string facts = run({stream}, Dialect::chat, ShowUsage::nothing).facts;
    EXPECT_NE(facts.find("content=1! events=3/3 big=1 unread=0"), std::string::npos) << facts;
    for (const std::size_t piece :
         {1UL, 100UL, 4096UL, 65'535UL, 65'536UL, 65'537UL, 1'000'000UL}) {
        std::vector<std::string> pieces;
        for (std::size_t at = 0; at < stream.size(); at += piece) {
            pieces.push_back(stream.substr(at, piece));
        }
        const Relayed result = run(pieces, Dialect::chat, ShowUsage::nothing);
        EXPECT_TRUE(result.output == expected) << piece;
        EXPECT_EQ(result.facts, facts) << piece;
    }
    StreamFilter filter(Dialect::chat, ShowUsage::nothing);
    std::vector<std::string_view> out;
    const std::string open = stream.substr(0, 69'000);
    filter.feed(open, out);
    EXPECT_TRUE(filter.is_inside_event());
    filter.feed(stream.substr(69'000), out);
    EXPECT_FALSE(filter.is_inside_event());
}

TEST(StreamFilter, FindsUsageInAnOversizedResponse) {
    const std::string stream =
        "event: response.completed\ndata: "
        "{\"type\":\"response.completed\",\"response\":{\"id\":\"resp_1\",\"output\":\"" +
        std::string(200'000, 'y') + "\",\"usage\":{\"input_tokens\":3,\"output_tokens\":8}}}\n\n";
    for (const std::size_t piece : {777UL, 65'536UL, 1'000'000UL}) {
        std::vector<std::string> pieces;
        for (std::size_t at = 0; at < stream.size(); at += piece) {
            pieces.push_back(stream.substr(at, piece));
        }
        const Relayed result = run(pieces, Dialect::responses, ShowUsage::nothing);
        EXPECT_TRUE(result.output == stream);
        EXPECT_EQ(result.facts,
                  "content=0 events=1/1 big=1 unread=0 terminal=1 id=resp_1 finish=completed "
                  "first=1 final=3,-,8,-");
    }
}

TEST(StreamFilter, KeepsOneViewPerReadWithoutEdits) {
    StreamFilter filter(Dialect::chat, ShowUsage::everything);
    std::vector<std::string_view> out;
    filter.feed(kContinuous, out);
    ASSERT_EQ(out.size(), 1U);
    EXPECT_EQ(out[0].data(), kContinuous.data()) << "nothing was copied";
}

TEST(StreamFilter, SettlesFromWhatItSaw) {
    StreamFilter filter(Dialect::chat, ShowUsage::nothing);
    std::vector<std::string_view> out;
    const std::string stream =
        chat(kHello, usage(5, 2)) + chat(R"({"index":1,"delta":{"content":"x"}})", usage(5, 4));
    filter.feed(stream, out);
    const auto partial = metrics::settle(filter.observed(2, 99));
    EXPECT_EQ(partial.exactness, metrics::Exactness::partial);
    EXPECT_EQ(partial.tokens.prompt, 5U);
    EXPECT_EQ(partial.tokens.completion, 6U);
}

}  // namespace
}  // namespace millrace::openai
