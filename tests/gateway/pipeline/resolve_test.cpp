#include "gateway/pipeline/resolve.hpp"

#include <gtest/gtest.h>

#include <string>

#include "tests/gateway/pipeline/world.hpp"

namespace millrace::gateway {
namespace {

using routing::testing::model;
using routing::testing::variant;
using testing_support::PipelineWorld;
using testing_support::TextRequest;

/// `smart` chooses `big` (backend `large`) or `m` (backend `pool`).
class ResolveTest : public testing::Test {
protected:
    ResolveTest() {
        world.config.models.push_back(model("big", {variant("v", 1, "large")}));
        world.config.backends["large"];
        auto& smart = world.config.models.emplace_back();
        smart.id = "smart";
    }

    /// `smart` is `big` under this condition.
    void big_when(config::RuleConditions when) {
        world.config.models.back().rules = {{"first", std::move(when), {{"big", 1}}},
                                            {"rest", {}, {{"m", 1}}}};
        world.publish();
    }

    Result<Resolved> ask(const std::string& body, std::string_view tenant = "anonymous",
                         openai::Api api = openai::Api::chat_completions) {
        text.emplace(world, "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Length: " +
                                std::to_string(body.size()) + "\r\n\r\n");
        text->scope->identify({tenant, {}, 0});
        request = Request{};
        request.surface = &openai::surface_of(api);
        body_ = body;
        request.body = body_;
        openai::Peek peek;
        auto fields = peek.finish(body_);
        EXPECT_TRUE(fields) << body;
        request.fields = *fields;
        return resolve(*text->scope, request);
    }
    std::string model_of(const std::string& body, std::string_view tenant = "anonymous") {
        const auto resolved = ask(body, tenant);
        return resolved ? std::string(resolved->decision.model_id) : resolved.error().detail;
    }

    PipelineWorld world;
    std::optional<TextRequest> text;
    Request request;

private:
    std::string body_;
};

TEST_F(ResolveTest, GivesRulesWhatTheBodyHas) {
    config::RuleConditions when;
    when.tools = true;
    when.fields = {{"seed", "7", {}, {}}};
    big_when(when);
    EXPECT_EQ(model_of(R"({"model": "smart", "tools": [{}], "seed": 7})"), "big");
    EXPECT_EQ(model_of(R"({"model": "smart", "tools": [{}], "seed": 8})"), "m");
    EXPECT_EQ(model_of(R"({"model": "smart", "tools": [], "seed": 7})"), "m");
}

TEST_F(ResolveTest, GivesRulesTheTierOfTheTenant) {
    world.config.tenants["acme"].tier = "gold";
    config::RuleConditions when;
    when.tiers = {"gold"};
    big_when(when);
    EXPECT_EQ(model_of(R"({"model": "smart"})", "acme"), "big");
    EXPECT_EQ(model_of(R"({"model": "smart"})", "other"), "m");
}

TEST_F(ResolveTest, EstimatesPromptTokensByWhatWasLearned) {
    config::RuleConditions when;
    when.prompt_tokens = config::CountRange{25, {}};
    big_when(when);
    const auto body = R"({"model": "smart", "messages": [")" + std::string(76, 'x') + R"("]})";
    EXPECT_EQ(model_of(body), "m") << "80 bytes are 20 tokens";
    const auto& learned = world.snapshot->backends[world.state.pools.find("pool")->id()].learned;
    learned->tokens_per_byte = 0.5F;
    EXPECT_EQ(model_of(body), "big") << "80 bytes are 40 tokens";
}

TEST_F(ResolveTest, KeepsWhatContinuesAStoredResponseWhereItIs) {
    config::RuleConditions when;
    when.tools = true;
    big_when(when);
    auto first = ask(R"({"model": "smart", "tools": [{}]})", "anonymous", openai::Api::responses);
    ASSERT_TRUE(first);
    EXPECT_EQ(first->decision.model_id, "big");
    const auto url = first->decision.target->pool->snapshot()->endpoints.front()->url;
    remember_response(*text->scope, "resp_1", first->decision.model_id, url);
    const auto next = ask(R"({"model": "smart", "previous_response_id": "resp_1"})", "anonymous",
                          openai::Api::responses);
    ASSERT_TRUE(next) << next.error().detail;
    EXPECT_EQ(next->decision.model_id, "big") << "without tools the rules say otherwise";
    ASSERT_TRUE(next->pinned);
    EXPECT_EQ(next->pinned->url, url);
}

TEST_F(ResolveTest, KeepsStoredResponsesOfAProxysTenantsApart) {
    big_when({});
    const std::string body = R"({"model": "m", "previous_response_id": "resp_1"})";
    const auto as = [&](std::string_view tenant) {
        ask(R"({"model": "m"})", "anonymous", openai::Api::responses);
        text->scope->identify({tenant, "proxy-key", 0, true});
    };
    as("acme");
    const auto url = world.state.pools.find("pool")->snapshot()->endpoints.front()->url;
    remember_response(*text->scope, "resp_1", "m", url);
    as("beta");
    openai::Peek peek;
    request.fields = *peek.finish(body);
    EXPECT_EQ(resolve(*text->scope, request).error().code, Errc::response_not_found);
    as("acme");
    openai::Peek again;
    request.fields = *again.finish(body);
    EXPECT_TRUE(resolve(*text->scope, request));
}

}  // namespace
}  // namespace millrace::gateway
