// The endpoint that a request gets by its model's `picker`, seen from outside: in the debug header
// and at the engines.
#include <map>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/integration/rig.hpp"
#include "tests/support/sim_process.hpp"

namespace millrace::test {
namespace {

/// Three engines behind one model with that `picker`.
struct Engines {
    explicit Engines(std::string_view picker, std::string_view backend_extra = {},
                     std::vector<std::string> engine_arguments = {})
        : first("m1", engine_arguments),
          second("m1", engine_arguments),
          third("m1", engine_arguments),
          gateway({.document = document(picker, backend_extra)}) {}

    std::string document(std::string_view picker, std::string_view backend_extra) const {
        auto text = one_model(first.url(), backend_extra, "picker: " + std::string(picker));
        const auto at = text.find(first.url() + '"') + first.url().size() + 1;
        text.insert(at, ", \"" + second.url() + "\", \"" + third.url() + '"');
        return text + "\nhttp: {debug_header: true}\n";
    }

    /// `url; variant=…; by=…` of the answer.
    std::string ask(const std::string& prompt, Headers headers = {}) const {
        nlohmann::json body = chat("m1");
        body["messages"][0]["content"] = prompt;
        const auto answer = call(gateway.port(), post(kChat, body, std::move(headers)));
        EXPECT_EQ(answer.status(), 200);
        return answer.header("x-millrace-endpoint");
    }

    SimProcess first, second, third;
    GatewayProcess gateway;
};

std::string endpoint_in(const std::string& header) {
    return header.substr(0, header.find(';'));
}

TEST(Picker, KeepsConversationsWhereTheirPromptIsCached) {
    const Engines engines("{by: [prefix, load]}");
    for (int conversation = 0; conversation < 6; ++conversation) {
        std::string prompt(6'000, static_cast<char>('a' + conversation));
        const auto began = engines.ask(prompt);
        for (int turn = 0; turn < 3; ++turn) {
            prompt += " and then?" + std::string(500, 'z');
            const auto answered = engines.ask(prompt);
            EXPECT_EQ(endpoint_in(answered), endpoint_in(began));
            EXPECT_TRUE(answered.ends_with("by=prefix_affinity")) << answered;
        }
    }
}

TEST(Picker, ASaltSeparatesPrefixCaches) {
    const Engines engines("{by: [prefix, load]}");
    nlohmann::json body = chat("m1");
    body["messages"][0]["content"] = std::string(6'000, 'a');
    const auto by = [&] {
        const auto answer = call(engines.gateway.port(), post(kChat, body));
        const auto header = answer.header("x-millrace-endpoint");
        return header.substr(header.rfind('=') + 1);
    };
    EXPECT_EQ(by(), "load_aware");
    EXPECT_EQ(by(), "prefix_affinity");
    body["cache_salt"] = "somebody else";
    EXPECT_EQ(by(), "load_aware") << "an engine would not find it either";
}

TEST(Picker, KeepsSessionsByHeaderOrField) {
    const Engines engines(
        "{by: [session], session: {header: x-session, field: user}, guard_percent: 100000}");
    std::set<std::string> seen;
    for (int session = 0; session < 12; ++session) {
        const auto name = "s" + std::to_string(session);
        const auto began = engines.ask("Hi", {{"x-session", name}});
        EXPECT_TRUE(began.ends_with("by=session_affinity")) << began;
        EXPECT_EQ(engines.ask("Hello again", {{"x-session", name}}), began);
        seen.insert(endpoint_in(began));
    }
    EXPECT_EQ(seen.size(), 3U) << "sessions are spread";
    nlohmann::json body = chat("m1");
    body["user"] = "u1";
    std::set<std::string> of_user;
    for (int i = 0; i < 5; ++i) {
        of_user.insert(
            call(engines.gateway.port(), post(kChat, body)).header("x-millrace-endpoint"));
    }
    EXPECT_EQ(of_user.size(), 1U);
}

TEST(Picker, WorksWithoutAnswersFromTheEnginesMetrics) {
    const Engines engines("{by: [load]}", "metrics: {path: /no-such-page, interval: 1s}");
    for (int i = 0; i < 20; ++i) {
        EXPECT_TRUE(engines.ask("Hi").ends_with("by=load_aware"));
    }
}

TEST(Picker, ShowsWhatItKnowsOfEachEndpoint) {
    const Engines engines("{by: [load]}", "metrics: {interval: 1s}, slots_per_endpoint: 7");
    const auto status = [&] { return engines.gateway.admin("GET", "/status").json(); };
    ASSERT_TRUE(eventually([&] { return status()["backends"][2]["engine"]["waiting"] == 0.0; }));
    const auto shown = status();
    EXPECT_EQ(shown["queued"], 0);
    ASSERT_EQ(shown["backends"].size(), 3U);
    for (const auto& endpoint : shown["backends"]) {
        EXPECT_EQ(endpoint["slots"], 7);
        EXPECT_EQ(endpoint["ready"], true);
        EXPECT_EQ(endpoint["in_flight"], 0);
        EXPECT_EQ(endpoint["queued_prompt_tokens"], 0);
    }
}

TEST(Picker, ExplainsItsChoiceWithTheLiveState) {
    const Engines engines("{by: [prefix, load]}");
    const std::string prompt(6'000, 'x');
    const auto answered = endpoint_in(engines.ask(prompt));
    nlohmann::json body = chat("m1");
    body["messages"][0]["content"] = prompt;
    const auto explained =
        engines.gateway
            .admin("POST", "/explain",
                   nlohmann::json({{"target", kChat}, {"body", body.dump()}}).dump())
            .json();
    EXPECT_EQ(explained.value("endpoint", ""), answered) << explained.dump(1);
    EXPECT_NE(explained.dump().find("thanks to its prefix cache"), std::string::npos)
        << explained.dump(1);
}

}  // namespace
}  // namespace millrace::test
