// Who may call, and what of a caller's headers reaches the backend.
#include <gtest/gtest.h>

#include "tests/integration/rig.hpp"
#include "tests/support/openssl_command.hpp"

namespace millrace::test {
namespace {

constexpr std::string_view kKey = "sk-imported-key-of-another-form-0123456789";
constexpr std::string_view kPepper = "pepper-for-tests";

GatewayOptions with_keys(std::string lines) {
    return {.document = "authentication: {keys: {file: keys.txt, pepper: {env: TEST_PEPPER}}}\n",
            .files = {{"keys.txt", std::move(lines)}},
            .environment = {{"TEST_PEPPER", std::string(kPepper)}}};
}

class ApiKeys : public testing::Test {
protected:
    static std::string line(const std::string& id, const std::string& tenant,
                            const std::string& key, const std::string& more = {}) {
        return key_file_line(id, tenant, key, std::string(kPepper), more);
    }
    Rig rig_{
        ScriptedBackend::answering(well_behaved),
        {},
        with_keys(line("imported", "team-a", std::string(kKey)) +
                  line("off", "team-b", "sk-disabled-key-123456", "disabled") +
                  line("old", "team-b", "sk-expired-key-123456", "expires=2001-01-01T00:00:00Z"))};
};

TEST_F(ApiKeys, LetInByBearerOrByKeyHeaderAndNeverReachTheBackend) {
    const std::string key(kKey);
    EXPECT_EQ(rig_.chat_call(chat("m1"), {{"Authorization", "Bearer " + key}}).status(), 200);
    EXPECT_EQ(rig_.chat_call(chat("m1"), {{"x-api-key", key}}).status(), 200);
    EXPECT_EQ(rig_.chat_call(chat("m1"), {{"api-key", key}}).status(), 200);
    EXPECT_EQ(rig_.backend.request_count(), 3U);
    EXPECT_EQ(rig_.backend.received().find(key), std::string::npos);
    for (const auto& seen : rig_.backend.requests()) {
        EXPECT_FALSE(seen.has("authorization"));
        EXPECT_FALSE(seen.has("x-api-key"));
    }
}

TEST_F(ApiKeys, RefuseMissingWrongDisabledAndExpiredOnesAlike) {
    const auto missing = rig_.chat_call(chat("m1"));
    EXPECT_EQ(missing.status(), 401);
    const auto wrong = rig_.chat_call(chat("m1"), {{"Authorization", "Bearer sk-wrong"}});
    EXPECT_EQ(wrong.status(), 401);
    EXPECT_EQ(wrong.error_code(), "invalid_api_key");
    for (const auto* key : {"sk-disabled-key-123456", "sk-expired-key-123456"}) {
        const auto answer = rig_.chat_call(chat("m1"), {{"x-api-key", key}});
        EXPECT_EQ(answer.status(), 401);
        EXPECT_EQ(answer.error_message(), wrong.error_message());
        EXPECT_EQ(answer.body.find(key), std::string::npos);
    }
    EXPECT_EQ(rig_.backend.connections(), 0U);
}

TEST_F(ApiKeys, AreAskedForBeforeTheBodyIsRead) {
    RawClient client(rig_.gateway.port());
    client.send(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        "Expect: 100-continue\r\nContent-Length: 1000000\r\n\r\n");
    const auto answer = client.read_response();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status(), 401);
}

TEST_F(ApiKeys, NameTheTenantInTheAccessLogAndNeverTheKey) {
    const auto answer =
        rig_.chat_call(chat("m1"), {{"Authorization", "Bearer " + std::string(kKey)}});
    const auto line = rig_.gateway.access_line(answer.header("x-request-id"));
    ASSERT_TRUE(line.is_object());
    EXPECT_EQ(line.value("tenant", ""), "team-a");
    EXPECT_EQ(line.value("key_id", ""), "imported");
    const auto everything =
        rig_.gateway.access_log_text() + rig_.gateway.errors() + rig_.gateway.metrics_page();
    EXPECT_EQ(everything.find(kKey), std::string::npos);
    EXPECT_EQ(everything.find(kPepper), std::string::npos);
}

TEST(Identity, SaysAtStartThatEverybodyIsLetIn) {
    const Rig rig;
    EXPECT_EQ(rig.chat_call(chat("m1"), {{"Authorization", "Bearer anything"}}).status(), 200);
    EXPECT_FALSE(rig.backend.requests().back().has("authorization"))
        << "a client's key must not reach the backend without authentication either";
    EXPECT_NE(rig.gateway.errors().find("authentication"), std::string::npos);
}

TEST(Identity, SendsTheBackendsOwnCredential) {
    const Rig rig(ScriptedBackend::answering(well_behaved), "api_key: {file: backend.key}",
                  {.files = {{"backend.key", "backend-secret-1\n"}}});
    EXPECT_EQ(rig.chat_call(chat("m1"), {{"Authorization", "Bearer sk-client"}}).status(), 200);
    EXPECT_EQ(rig.backend.requests().back().header("authorization"), "Bearer backend-secret-1");
    EXPECT_EQ(rig.backend.requests().back().count("authorization"), 1U);
}

TEST(Identity, StripsHeadersThatAreNotTheClientsToSet) {
    const Rig rig;
    const Headers spoofed{{"x-millrace-tenant", "admin"},
                          {"x-gateway-destination-endpoint", "10.0.0.1:80"},
                          {"x-llm-d-anything", "1"},
                          {"X-Forwarded-For", "1.2.3.4"},
                          {"X-Forwarded-Proto", "https"},
                          {"Forwarded", "for=1.2.3.4"},
                          {"x-forwarded-client-cert", "spoofed"},
                          {"Proxy-Authorization", "Basic abc"}};
    auto headers = spoofed;
    headers.emplace_back("x-custom", "kept");
    headers.emplace_back("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    ASSERT_EQ(rig.chat_call(chat("m1"), headers).status(), 200);
    const auto seen = rig.backend.requests().back();
    for (const auto& [name, value] : spoofed) {
        EXPECT_NE(seen.header(name), value) << name;
    }
    EXPECT_EQ(seen.header("x-custom"), "kept");
    EXPECT_FALSE(seen.header("traceparent").empty());
    EXPECT_EQ(seen.header("accept-encoding"), "identity");
}

TEST(Identity, BelievesForwardingHeadersOfTrustedProxiesOnly) {
    const Rig rig(ScriptedBackend::answering(well_behaved), {},
                  {.document = "trust: {proxies: [127.0.0.0/8]}\n"});
    ASSERT_EQ(rig.chat_call(chat("m1"), {{"X-Forwarded-For", "203.0.113.7"}}).status(), 200);
    EXPECT_NE(rig.backend.requests().back().header("x-forwarded-for").find("203.0.113.7"),
              std::string::npos);
}

TEST(Identity, KeepsAGoodRequestIdAndReplacesABadOne) {
    const Rig rig;
    const auto good = rig.chat_call(chat("m1"), {{"x-request-id", "Abc-1.2_3"}});
    EXPECT_EQ(good.header("x-request-id"), "Abc-1.2_3");
    EXPECT_EQ(rig.backend.requests().back().header("x-request-id"), "Abc-1.2_3");
    const auto bad = rig.chat_call(chat("m1"), {{"x-request-id", "two words"}});
    EXPECT_NE(bad.header("x-request-id"), "two words");
    EXPECT_FALSE(bad.header("x-request-id").empty());
    const auto none = rig.chat_call(chat("m1"));
    EXPECT_FALSE(none.header("x-request-id").empty());
    EXPECT_NE(none.header("x-request-id"), bad.header("x-request-id"));
}

TEST(Identity, DropsOurOwnAndServerHeadersOfABackend) {
    const Rig rig(ScriptedBackend::always(response(200, chat_answer().dump(),
                                                   {{"Content-Type", "application/json"},
                                                    {"Server", "uvicorn"},
                                                    {"x-millrace-reason", "forged"},
                                                    {"x-backend-extra", "kept"},
                                                    {"Keep-Alive", "timeout=5"}})));
    const auto answer = rig.chat_call(chat("m1"));
    EXPECT_EQ(answer.status(), 200);
    EXPECT_NE(answer.header("server"), "uvicorn");
    EXPECT_FALSE(answer.has("x-millrace-reason"));
    EXPECT_FALSE(answer.has("keep-alive"));
    EXPECT_EQ(answer.header("x-backend-extra"), "kept");
}

TEST(Identity, AsksForTheAdminTokenWhenOneIsSet) {
    const Rig rig(ScriptedBackend::answering(well_behaved), {},
                  {.admin_listener = "token: {env: ADMIN_TOKEN}",
                   .environment = {{"ADMIN_TOKEN", "let-me-in"}}});
    EXPECT_EQ(rig.gateway.admin("GET", "/status").status(), 401);
    EXPECT_EQ(rig.gateway.admin("GET", "/status", {}, {{"Authorization", "Bearer wrong"}}).status(),
              401);
    EXPECT_EQ(
        rig.gateway.admin("GET", "/status", {}, {{"Authorization", "Bearer let-me-in"}}).status(),
        200);
    EXPECT_EQ(get(rig.gateway.port(), "/status").status(), 404) << "no admin on the data port";
    EXPECT_EQ(get(rig.gateway.port(), "/metrics").status(), 404);
}

}  // namespace
}  // namespace millrace::test
