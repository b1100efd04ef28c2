#include "gateway/pipeline/upstream_request.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/gateway/pipeline/world.hpp"
#include "tests/support/http_message.hpp"

namespace millrace::gateway {
namespace {

using testing_support::PipelineWorld;
using testing_support::TextRequest;

/// What a backend would read.
class UpstreamRequestTest : public testing::Test {
protected:
    test::Message write(const std::string& fields, const std::string& body, Peer peer = {},
                        const std::string& path = "/v1/chat/completions") {
        if (world.snapshot == nullptr) {
            world.publish();
        }
        TextRequest text(world,
                         "POST " + path + " HTTP/1.1\r\nHost: gateway.example\r\n" + fields +
                             "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n",
                         peer);
        request_id = text.scope->request_id();
        Request request;
        request.surface = &openai::surface_of(openai::Api::chat_completions);
        request.body = body;
        openai::Peek peek;
        auto found = peek.finish(body);
        EXPECT_TRUE(found) << body;
        request.fields = *found;
        auto facts = facts_of(*text.scope, request);
        const auto decision =
            routing::decide(facts, *world.snapshot->catalog, world.endpoints, random, nullptr);
        EXPECT_TRUE(decision) << (decision ? "" : decision.error().detail);
        const auto& backend = world.snapshot->backend_of(*decision->target);
        const auto edit = edit_for(request, *decision, usage_for(request, backend));
        const auto scratch = world.scratch.get();
        const auto set = decision->target->pool->snapshot();
        write_upstream_request(*text.scope, request, *decision, *set->endpoints.front(), backend,
                               edit, *scratch);
        std::string bytes;
        for (const auto piece : scratch->request) {
            bytes += piece;
        }
        test::MessageReader reader(test::MessageReader::Kind::request);
        reader.feed(bytes);
        auto message = reader.next();
        EXPECT_TRUE(message) << bytes;
        EXPECT_EQ(reader.pending(), "");
        return message.value_or(test::Message{});
    }

    PipelineWorld world;
    Random random{7};
    std::string request_id;
};

TEST_F(UpstreamRequestTest, GoesToTheEndpointWithTheServedNameAndTheEditedLength) {
    const std::string body = R"({"model":"m","messages":[]})";
    const auto sent = write("", body);
    EXPECT_EQ(sent.start_line, "POST /v1/chat/completions HTTP/1.1");
    EXPECT_EQ(sent.header("host"), "llm.example:8000");
    EXPECT_EQ(sent.count("host"), 1U);
    EXPECT_EQ(sent.body, R"({"model":"served","messages":[]})");
    EXPECT_EQ(sent.header("content-length"), std::to_string(sent.body.size()));
    EXPECT_EQ(sent.count("content-length"), 1U);
    EXPECT_EQ(sent.header("accept-encoding"), "identity");
    EXPECT_EQ(sent.header("x-request-id"), request_id);
}

TEST_F(UpstreamRequestTest, KeepsTheQueryAndFieldsThatAreNobodyElses) {
    const auto sent = write("X-Custom: 1\r\nX-Custom: 2\r\nUser-Agent: sdk\r\n", R"({"model":"m"})",
                            {}, "/v1/chat/completions?a=b%20c");
    EXPECT_EQ(sent.target(), "/v1/chat/completions?a=b%20c");
    EXPECT_EQ(sent.count("x-custom"), 2U);
    EXPECT_EQ(sent.header("user-agent"), "sdk");
}

TEST_F(UpstreamRequestTest, NeverPassesACallersKeyOn) {
    const std::string keys =
        "Authorization: Bearer secret-1\r\nX-API-Key: secret-2\r\napi-key: secret-3\r\n";
    const auto without = write(keys, R"({"model":"m"})");
    EXPECT_EQ(without.raw.find("secret"), std::string::npos) << without.raw;
    EXPECT_FALSE(without.has("authorization"));
}

TEST_F(UpstreamRequestTest, SendsTheBackendsOwnKey) {
    world.authorization = "Bearer upstream-key";
    const auto sent = write("Authorization: Bearer secret-1\r\n", R"({"model":"m"})");
    EXPECT_EQ(sent.header("authorization"), "Bearer upstream-key");
    EXPECT_EQ(sent.count("authorization"), 1U);
}

TEST_F(UpstreamRequestTest, BelievesForwardingFieldsOfTrustedPeersOnly) {
    const std::string fields =
        "X-Forwarded-For: 203.0.113.7\r\nForwarded: for=203.0.113.7\r\nX-Real-IP: 203.0.113.7\r\n"
        "X-Forwarded-Client-Cert: Hash=1\r\n";
    const auto trusted = write(fields, R"({"model":"m"})", {"10.0.0.9", true, {}});
    EXPECT_EQ(trusted.header("x-forwarded-for"), "203.0.113.7");
    EXPECT_EQ(trusted.header("forwarded"), "for=203.0.113.7");
    EXPECT_FALSE(trusted.has("x-forwarded-client-cert")) << "an identity, not a route";
    const auto stranger = write(fields, R"({"model":"m"})", {"203.0.113.8", false, {}});
    EXPECT_EQ(stranger.raw.find("203.0.113.7"), std::string::npos) << stranger.raw;
}

TEST_F(UpstreamRequestTest, StripsOurOwnAndEndpointPickerFields) {
    const auto sent = write(
        "X-Millrace-Anything: 1\r\nX-Gateway-Destination-Endpoint: 10.0.0.1\r\n"
        "Connection: keep-alive, x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n",
        R"({"model":"m"})");
    for (const char* name : {"x-millrace-anything", "x-gateway-destination-endpoint", "connection",
                             "x-hop", "keep-alive"}) {
        EXPECT_FALSE(sent.has(name)) << name;
    }
}

TEST_F(UpstreamRequestTest, KeepsAUsableRequestIdAndShowsAnUnusableOneApart) {
    EXPECT_EQ(write("X-Request-Id: mine\r\n", R"({"model":"m"})").header("x-request-id"), "mine");
    EXPECT_FALSE(write("X-Request-Id: mine\r\n", R"({"model":"m"})").has("x-client-request-id"));
    const auto odd = write("X-Request-Id: not ok\r\n", R"({"model":"m"})");
    EXPECT_EQ(odd.header("x-request-id"), request_id);
    EXPECT_EQ(odd.count("x-request-id"), 1U);
    EXPECT_EQ(odd.header("x-client-request-id"), "not ok");
}

TEST_F(UpstreamRequestTest, PassesATraceparentOnlyWhenItIsValid) {
    const std::string good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    EXPECT_EQ(write("traceparent: " + good + "\r\n", R"({"model":"m"})").header("traceparent"),
              good);
    EXPECT_FALSE(write("traceparent: 00-x\r\n", R"({"model":"m"})").has("traceparent"));
}

TEST_F(UpstreamRequestTest, AsksForUsageInStreamsUntilTheBackendRefusesIt) {
    const std::string body = R"({"model":"m","stream":true})";
    auto options = write("", body).json()["stream_options"];
    EXPECT_EQ(options["include_usage"], true);
    EXPECT_EQ(options["continuous_usage_stats"], true);
    const auto& backend = world.snapshot->backends.front();
    backend.learned->refuses_continuous_usage = true;
    options = write("", body).json()["stream_options"];
    EXPECT_EQ(options["include_usage"], true);
    EXPECT_FALSE(options.contains("continuous_usage_stats"));
    EXPECT_FALSE(write("", R"({"model":"m"})").json().contains("stream_options"));
}

TEST_F(UpstreamRequestTest, AsksForNoUsageWhereTheConfigurationSaysSo) {
    world.config.backends["pool"].usage.final = false;
    EXPECT_FALSE(write("", R"({"model":"m","stream":true})").json().contains("stream_options"));
}

TEST_F(UpstreamRequestTest, FollowsARoutesRewriteAndHeaderChanges) {
    auto rule = routing::testing::rule({routing::testing::prefix("/v1")}, {{"pool", 0, 1}});
    rule.rewrite = config::UrlRewrite{"upstream.example", {}, "/api"};
    rule.request_headers.set = {{"X-Team", "red"}};
    world.routes.push_back(routing::testing::route("r", {rule}));
    const auto sent = write("X-Team: blue\r\n", R"({"model":"m"})", {}, "/v1/chat/completions?q=1");
    EXPECT_EQ(sent.target(), "/api/chat/completions?q=1");
    EXPECT_EQ(sent.header("host"), "upstream.example");
    EXPECT_EQ(sent.header("x-team"), "red");
    EXPECT_EQ(sent.count("x-team"), 1U);
}

}  // namespace
}  // namespace millrace::gateway
