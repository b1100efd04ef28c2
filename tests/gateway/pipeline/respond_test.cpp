#include "gateway/pipeline/respond.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "tests/gateway/pipeline/world.hpp"
#include "tests/support/http_message.hpp"

namespace millrace::gateway {
namespace {

using metrics::testing::value_of;
using testing_support::PipelineWorld;
using testing_support::run;
using testing_support::TextRequest;

constexpr std::string_view kPost =
    "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n";

test::Message parsed(const std::string& bytes) {
    test::MessageReader reader(test::MessageReader::Kind::response);
    reader.feed(bytes);
    auto message = reader.next();
    EXPECT_TRUE(message) << bytes;
    EXPECT_EQ(reader.pending(), "") << "bytes beyond the announced length";
    return message.value_or(test::Message{});
}

TEST(BareRefusal, IsAWholeAnswerThatEndsTheConnection) {
    const auto message = parsed(
        bare_refusal({Errc::bad_header, Origin::downstream, "Field `x y` is no name."}, "req-1"));
    EXPECT_EQ(message.status(), 400);
    EXPECT_EQ(message.header("connection"), "close");
    EXPECT_EQ(message.header("content-type"), "application/json");
    EXPECT_EQ(message.header("content-length"), std::to_string(message.body.size()));
    EXPECT_EQ(message.header("x-request-id"), "req-1");
    EXPECT_EQ(message.header("x-should-retry"), "false");
    EXPECT_EQ(message.error_code(), "bad_header");
    EXPECT_NE(message.error_message().find("Field `x y` is no name."), std::string::npos);
    EXPECT_FALSE(message.has("x-millrace-reason"));
}

TEST(BareRefusal, HasTheStatusOfEveryErrorAndNamesTheReasonOfA503) {
    const std::pair<Errc, int> cases[] = {
        {Errc::uri_too_long, 414},         {Errc::headers_too_large, 431},
        {Errc::header_timeout, 408},       {Errc::unsupported_http_version, 505},
        {Errc::too_many_connections, 503}, {Errc::unsupported_transfer_coding, 501},
        {Errc::method_not_allowed, 405},   {Errc::internal, 500}};
    for (const auto& [code, status] : cases) {
        const auto message = parsed(bare_refusal({code, Origin::downstream, "Why."}, "r"));
        EXPECT_EQ(message.status(), status) << to_string(code);
        EXPECT_EQ(message.has("x-millrace-reason"), status == 503) << to_string(code);
        EXPECT_EQ(message.has("allow"), status == 405) << to_string(code);
        EXPECT_EQ(message.header("connection"), "close");
    }
}

TEST(BareRefusal, EscapesWhatTheClientSent) {
    const auto message =
        parsed(bare_refusal({Errc::bad_target, Origin::downstream, "Not \"a\r\nb\\\x01\"."}, "r"));
    EXPECT_EQ(message.count("content-length"), 1U);
    EXPECT_NE(message.error_message().find("Not \"a\r\nb\\\x01\"."), std::string::npos);
}

TEST(UpstreamErrorBody, IsTheEventsErrorInThePathsDialect) {
    const metrics::StreamError error{
        .status = {}, .type = "BadRequestError", .code = "ctx", .message = "too \"long\""};
    EXPECT_EQ(upstream_error_body(metrics::Dialect::chat, error, "req-1"),
              R"({"error":{"type":"BadRequestError","message":"too \"long\"","param":null,)"
              R"("code":"ctx"}})");
    EXPECT_EQ(upstream_error_body(metrics::Dialect::messages, error, "req-1"),
              R"({"type":"error","error":{"type":"BadRequestError","message":"too \"long\""},)"
              R"("request_id":"req-1"})");
}

TEST(UpstreamErrorBody, FillsInWhatTheBackendLeftOut) {
    EXPECT_EQ(upstream_error_body(metrics::Dialect::completions, {}, "req-1"),
              R"({"error":{"type":"server_error","message":"","param":null,"code":null}})");
}

class RespondTest : public testing::Test {
protected:
    RespondTest() { world.publish(); }
    double requests(const char* outcome) {
        return value_of(world.registry, "millrace_requests_total",
                        {{"model", "unknown"}, {"outcome", outcome}})
            .value_or(0);
    }
    PipelineWorld world;
};

TEST_F(RespondTest, RefusesInThePathsDialectAndSettlesOnce) {
    {
        TextRequest request(world,
                            "POST /v1/messages HTTP/1.1\r\nHost: h\r\n"
                            "X-Request-Id: mine\r\nContent-Length: 2\r\n\r\n");
        run(refuse(*request.scope, {Errc::model_missing, Origin::downstream, "No model."}));
        EXPECT_EQ(request.answer.status, 400);
        EXPECT_TRUE(request.answer.has_body);
        EXPECT_FALSE(request.answer.closed) << "the next request may use the connection";
        EXPECT_TRUE(request.answer.body.starts_with(R"({"type":"error")")) << request.answer.body;
        EXPECT_EQ(request.answer.field("x-request-id"), "mine");
        EXPECT_EQ(request.scope->record.status, 400);
        EXPECT_EQ(requests("refused"), 0) << "only the scope's end settles";
    }
    EXPECT_EQ(requests("refused"), 1);
}

TEST_F(RespondTest, TellsARefusedClientWhenToComeBackWithJitter) {
    std::set<std::string> waits;
    for (int i = 0; i < 50; ++i) {
        TextRequest request(world, std::string(kPost));
        run(refuse(*request.scope, {Errc::no_ready_endpoint, Origin::policy, "None."}));
        EXPECT_EQ(request.answer.status, 503);
        EXPECT_EQ(request.answer.field("x-should-retry"), "true");
        EXPECT_EQ(request.answer.field("x-millrace-reason"), "backend_error");
        const auto ms = std::stoi(request.answer.field("retry-after-ms"));
        EXPECT_GE(ms, 2000);
        EXPECT_LE(ms, 3000);
        EXPECT_EQ(std::stoi(request.answer.field("retry-after")), (ms + 999) / 1000);
        waits.insert(request.answer.field("retry-after-ms"));
    }
    EXPECT_GT(waits.size(), 25U);
}

TEST_F(RespondTest, NamesTheMethodsOfThePathAndTheSchemeOfTheKey) {
    TextRequest wrong(world, "DELETE /v1/chat/completions HTTP/1.1\r\nHost: h\r\n\r\n");
    run(refuse(*wrong.scope, {Errc::method_not_allowed, Origin::downstream, "Only POST."}));
    EXPECT_EQ(wrong.answer.status, 405);
    EXPECT_EQ(wrong.answer.field("allow"), openai::allowed_methods("/v1/chat/completions"));
    TextRequest anonymous(world, std::string(kPost));
    run(refuse(*anonymous.scope, {Errc::missing_credentials, Origin::downstream, "No key."}));
    EXPECT_EQ(anonymous.answer.status, 401);
    EXPECT_EQ(anonymous.answer.field("www-authenticate"), "Bearer");
}

TEST_F(RespondTest, SendsNoBodyForHeadAndClosesWhereTheErrorSaysSo) {
    TextRequest head(world, "HEAD /v1/models HTTP/1.1\r\nHost: h\r\n\r\n");
    run(refuse(*head.scope, {Errc::path_not_found, Origin::downstream, "Nothing there."}));
    EXPECT_FALSE(head.answer.has_body);
    TextRequest large(world, std::string(kPost));
    run(refuse(*large.scope, {Errc::body_too_large, Origin::downstream, "Too large."}));
    EXPECT_EQ(large.answer.status, 413);
    EXPECT_TRUE(large.answer.closed);
}

TEST_F(RespondTest, WritesNothingToAClientThatHasLeft) {
    {
        TextRequest request(world, std::string(kPost));
        request.abort.fire(AbortReason::client_closed);
        run(refuse(*request.scope, {Errc::upstream_closed, Origin::upstream, "Gone."}));
        EXPECT_EQ(request.answer.status, 0);
        EXPECT_EQ(request.scope->record.error, Errc::client_closed);
        EXPECT_EQ(request.scope->record.status, 0);
    }
    EXPECT_EQ(requests("client_closed"), 1);
    EXPECT_EQ(requests("backend_error"), 0);
}

TEST_F(RespondTest, StillAnswersAClientWhenTheDrainDeadlineEndsItsRequest) {
    TextRequest request(world, std::string(kPost));
    request.abort.fire(AbortReason::drain_deadline);
    run(refuse(*request.scope, to_error(AbortReason::drain_deadline)));
    EXPECT_EQ(request.answer.status, 503);
    EXPECT_TRUE(request.answer.closed);
    EXPECT_EQ(request.scope->record.outcome, metrics::Outcome::drained);
}

TEST_F(RespondTest, AnswersJsonAndSaysWhetherItArrived) {
    for (const bool arrives : {true, false}) {
        TextRequest request(world, "GET /v1/models HTTP/1.1\r\nHost: h\r\n\r\n");
        request.answer.client_is_there = arrives;
        if (!arrives) {
            request.abort.fire(AbortReason::client_stalled);
        }
        run(respond_json(*request.scope, R"({"data":[]})"));
        EXPECT_EQ(request.answer.status, 200);
        EXPECT_EQ(request.answer.body, R"({"data":[]})");
        EXPECT_EQ(request.answer.field("content-type"), "application/json");
        EXPECT_FALSE(request.answer.closed);
        EXPECT_EQ(request.scope->record.outcome,
                  arrives ? metrics::Outcome::completed : metrics::Outcome::client_closed);
    }
}

}  // namespace
}  // namespace millrace::gateway
