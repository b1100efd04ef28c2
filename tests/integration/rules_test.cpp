// Models that choose another one, tenants from elsewhere than keys, and clients that step back.
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "tests/integration/rig.hpp"

namespace millrace::test {
namespace {

/// `smart` sends requests with tools or of tier gold to `big`, the rest to `small`.
std::string choosing(const std::string& big, const std::string& small) {
    return "models:\n"
           "  - id: smart\n"
           "    aliases: [clever]\n"
           "    rules:\n"
           "      - {name: tools, when: {tools: true}, targets: [{model: big}]}\n"
           "      - {name: paid, when: {tiers: [gold]}, targets: [{model: big}]}\n"
           "      - {name: rest, targets: [{model: small}]}\n"
           "  - {id: big, variants: [{name: only, backend: big, served_name: big-awq}]}\n"
           "  - {id: small, variants: [{name: only, backend: small}]}\n"
           "backends:\n"
           "  big: {endpoints: {static: [\"" +
           big +
           "\"]}}\n"
           "  small: {endpoints: {static: [\"" +
           small + "\"]}}\n";
}

constexpr std::string_view kTenants =
    "tenants: {acme: {tier: gold}}\nauthentication: {tenant_header: x-tenant}\n";

class Choosing : public testing::Test {
protected:
    GatewayProcess start(const std::string& more = {}) const {
        return GatewayProcess({.document = choosing(big.url(), small.url()) + more});
    }
    static nlohmann::json with_tools(nlohmann::json body) {
        body["tools"] = nlohmann::json::array({{{"type", "function"}}});
        return body;
    }

    ScriptedBackend big{ScriptedBackend::answering(well_behaved)};
    ScriptedBackend small{ScriptedBackend::answering(well_behaved)};
};

TEST_F(Choosing, ServesByTheChosenModelUnderItsOwnName) {
    const auto gateway = start();
    const auto answer = call(gateway.port(), post(kChat, with_tools(chat("clever"))));
    ASSERT_EQ(answer.status(), 200);
    ASSERT_EQ(big.request_count(), 1U);
    EXPECT_EQ(big.requests().back().json()["model"], "big-awq");
    ASSERT_EQ(call(gateway.port(), post(kChat, chat("smart"))).status(), 200);
    EXPECT_EQ(small.requests().back().json()["model"], "small");
    const auto line = gateway.access_line(answer.header("x-request-id"));
    EXPECT_EQ(line.value("model", ""), "big");
    EXPECT_EQ(line.value("requested_model", ""), "smart");
    EXPECT_EQ(gateway.metrics().sum("millrace_requests_total", {{"model", "big"}}), 1);
    EXPECT_EQ(gateway.metrics_page().find("\"smart\""), std::string::npos);
    EXPECT_NE(get(gateway.port(), "/v1/models").body.find("\"smart\""), std::string::npos);
}

TEST_F(Choosing, IsExplained) {
    const auto gateway = start();
    const auto explanation = gateway.admin(
        "POST", "/explain",
        nlohmann::json({{"target", kChat}, {"tenant", "x"}, {"body", with_tools(chat("smart"))}})
            .dump());
    ASSERT_EQ(explanation.status(), 200) << explanation.body;
    EXPECT_NE(explanation.body.find("Rule `tools`: tools present -> model big."), std::string::npos)
        << explanation.body;
    EXPECT_EQ(explanation.json()["backend"], "big");
    EXPECT_EQ(explanation.json()["served_name"], "big-awq");
}

TEST_F(Choosing, TakesTheTenantFromATrustedProxy) {
    const auto gateway = start(std::string(kTenants) + "trust: {proxies: [127.0.0.0/8]}\n");
    const auto answer = call(gateway.port(), post(kChat, chat("smart"), {{"X-Tenant", "acme"}}));
    ASSERT_EQ(answer.status(), 200);
    ASSERT_EQ(big.request_count(), 1U) << "acme is of tier gold";
    EXPECT_FALSE(big.requests().back().has("x-tenant"));
    EXPECT_EQ(gateway.access_line(answer.header("x-request-id")).value("tenant", ""), "acme");

    const auto unknown =
        call(gateway.port(), post(kChat, chat("smart"), {{"X-Tenant", "made-up"}}));
    EXPECT_EQ(unknown.status(), 200);
    EXPECT_EQ(small.request_count(), 1U);
    EXPECT_EQ(gateway.access_line(unknown.header("x-request-id")).value("tenant", ""), "anonymous");
    EXPECT_EQ(gateway.metrics_page().find("made-up"), std::string::npos);
}

TEST_F(Choosing, DoesNotTakeTheTenantFromAnybodyElse) {
    const auto gateway = start(std::string(kTenants) + "trust: {proxies: [192.0.2.0/24]}\n");
    const auto answer = call(gateway.port(), post(kChat, chat("smart"), {{"X-Tenant", "acme"}}));
    ASSERT_EQ(answer.status(), 200);
    EXPECT_EQ(big.request_count(), 0U);
    ASSERT_EQ(small.request_count(), 1U);
    EXPECT_FALSE(small.requests().back().has("x-tenant"));
    EXPECT_EQ(gateway.access_line(answer.header("x-request-id")).value("tenant", ""), "anonymous");
}

TEST(LoweredPriority, PutsARequestBehindOthersAndNeverBefore) {
    ScriptedBackend backend([](BackendConnection& connection) {
        while (connection.read_request()) {
            if (!connection.wait_for("go") || !connection.send(json_response(chat_answer()))) {
                return;
            }
        }
    });
    const GatewayProcess gateway({.document = one_model(backend.url(), "slots_per_endpoint: 1")});
    std::vector<RawClient> clients;
    const auto ask = [&](const char* id, const char* priority) {
        clients.emplace_back(gateway.port());
        clients.back().send(
            post(kChat, chat("m1"), {{"x-request-id", id}, {"x-millrace-priority", priority}}));
        const auto sent = static_cast<double>(clients.size());
        return eventually([&] { return gateway.metrics().sum("millrace_load_requests") == sent; });
    };
    ASSERT_TRUE(ask("running", ""));
    ASSERT_TRUE(ask("low", "5"));
    ASSERT_TRUE(ask("usual", "garbage"));
    ASSERT_TRUE(ask("raised", "999"));
    ASSERT_TRUE(ask("lowest", "0"));
    backend.release("go");
    for (auto& client : clients) {
        ASSERT_TRUE(client.read_response());
    }
    std::vector<std::string> order;
    for (const auto& request : backend.requests()) {
        order.push_back(request.header("x-request-id"));
        EXPECT_FALSE(request.has("x-millrace-priority"));
    }
    EXPECT_EQ(order, (std::vector<std::string>{"running", "usual", "raised", "low", "lowest"}));
}

/// Answers streams after a pause.
ScriptedBackend::Script answering_after(std::chrono::milliseconds pause) {
    return [pause](BackendConnection& connection) {
        while (const auto request = connection.read_request()) {
            std::this_thread::sleep_for(pause);
            if (!connection.send(well_behaved(*request))) {
                return;
            }
        }
    };
}

TEST(AutoModel, PrefersTheFasterCandidateOnceItKnows) {
    const ScriptedBackend slow(answering_after(std::chrono::milliseconds(150)));
    const ScriptedBackend fast(answering_after(std::chrono::milliseconds(0)));
    const GatewayProcess gateway(
        {.document = "models:\n"
                     "  - {id: best, auto: {candidates: [slow, fast], explore_percent: 0}}\n"
                     "  - {id: slow, variants: [{name: only, backend: slow}]}\n"
                     "  - {id: fast, variants: [{name: only, backend: fast}]}\n"
                     "backends:\n"
                     "  slow: {endpoints: {static: [\"" +
                     slow.url() +
                     "\"]}}\n"
                     "  fast: {endpoints: {static: [\"" +
                     fast.url() + "\"]}}\n"});
    const auto stream = [&](const char* model) {
        auto body = chat(model);
        body["stream"] = true;
        return call(gateway.port(), post(kChat, body)).status();
    };
    for (int i = 0; i < 5; ++i) {
        ASSERT_EQ(stream("slow"), 200);
        ASSERT_EQ(stream("fast"), 200);
    }
    const auto explained = [&] {
        return gateway
            .admin("POST", "/explain",
                   nlohmann::json({{"target", kChat}, {"body", chat("best")}}).dump())
            .body;
    };
    ASSERT_TRUE(eventually([&] { return explained().find("(assumed)") == std::string::npos; }))
        << explained();
    const auto before = fast.request_count();
    for (int i = 0; i < 10; ++i) {
        ASSERT_EQ(stream("best"), 200);
    }
    EXPECT_EQ(fast.request_count(), before + 10) << explained();
}

}  // namespace
}  // namespace millrace::test
