#include "gateway/commands/rollout.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "gateway/commands/exit_code.hpp"
#include "tests/support/temp_dir.hpp"

namespace millrace::gateway {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kTwo =
    R"({"rollouts": [{"model": "m1", "phase": "running", "explanation": "canary v2 gets 5 %"},)"
    R"( {"model": "org/m2", "phase": "paused", "explanation": "canary new is paused"}]})";

/// A gateway that gives one answer.
class RolloutCommand : public testing::Test {
protected:
    RolloutCommand() { options.model = "org/m2"; }

    int run(std::string order = "status") {
        options.order = std::move(order);
        out.str("");
        err.str("");
        requests.clear();
        return run_rollout(
            options,
            [this](const HttpRequest& request) -> Result<HttpAnswer> {
                requests.push_back(request.method + " " + request.url);
                headers = request.headers;
                if (status == 0) {
                    return failure(Errc::upstream_closed, Origin::upstream, "Connection refused.");
                }
                return HttpAnswer{status, {}, body};
            },
            out, err);
    }

    RolloutOptions options;
    unsigned status = 200;
    std::string body = kTwo;
    std::vector<std::string> requests;
    std::vector<std::pair<std::string, std::string>> headers;
    std::ostringstream out;
    std::ostringstream err;
};

TEST_F(RolloutCommand, SaysWhereTheModelsRolloutStands) {
    EXPECT_EQ(run(), kExitClean) << err.str();
    EXPECT_EQ(out.str(), "canary new is paused\n");
    EXPECT_THAT(requests, ElementsAre("GET http://127.0.0.1:9091/rollouts"));
    EXPECT_THAT(headers, IsEmpty());
}

TEST_F(RolloutCommand, GivesOrdersAndSaysWhatBecameOfThem) {
    body = R"({"model": "org/m2", "phase": "running", "explanation": "canary new gets 5 %"})";
    for (const std::string order : {"start", "pause", "resume", "promote", "abort"}) {
        EXPECT_EQ(run(order), kExitClean) << err.str();
        EXPECT_EQ(out.str(), "canary new gets 5 %\n");
        EXPECT_THAT(requests, ElementsAre("POST http://127.0.0.1:9091/rollouts/org/m2/" + order));
    }
}

TEST_F(RolloutCommand, PrintsTheReportAsJson) {
    options.json = true;
    EXPECT_EQ(run(), kExitClean);
    EXPECT_EQ(nlohmann::json::parse(out.str()), nlohmann::json::parse(kTwo)["rollouts"][1]);
}

TEST_F(RolloutCommand, SaysThatAModelHasNoRolloutAndWhoDoes) {
    options.model = "m3";
    EXPECT_EQ(run(), kExitRuntimeFailure);
    EXPECT_EQ(err.str(), "The model `m3` has no rollout; those that have one: `m1`, `org/m2`.\n");
    body = R"({"rollouts": []})";
    EXPECT_EQ(run(), kExitRuntimeFailure);
    EXPECT_EQ(err.str(), "The model `m3` has no rollout; no model has one.\n");
    EXPECT_EQ(out.str(), "");
}

TEST_F(RolloutCommand, FailsWithTheReasonOfTheGateway) {
    status = 409;
    body = R"({"error":{"code":"conflict","message":"cannot resume a rollout that is running"}})";
    EXPECT_EQ(run("resume"), kExitRuntimeFailure);
    EXPECT_THAT(err.str(), HasSubstr("refused with 409: cannot resume a rollout that is running"));
    EXPECT_EQ(out.str(), "");
}

TEST_F(RolloutCommand, FailsWhenTheGatewayIsGoneOrAnotherProgram) {
    status = 0;
    EXPECT_EQ(run(), kExitRuntimeFailure);
    EXPECT_EQ(run("pause"), kExitRuntimeFailure);
    EXPECT_THAT(err.str(), HasSubstr("Connection refused."));
    status = 200;
    for (const char* text :
         {"", "hello", "[]", "{}", R"({"rollouts": {}})", R"({"rollouts": [1]})",
          R"({"rollouts": [{"model": "org/m2"}]})", R"({"model": 1, "explanation": "x"})"}) {
        body = text;
        EXPECT_EQ(run(), kExitRuntimeFailure) << text;
        EXPECT_THAT(err.str(), HasSubstr("/rollouts did not answer like a Millrace admin"));
        EXPECT_EQ(run("pause"), kExitRuntimeFailure) << text;
        EXPECT_THAT(err.str(), HasSubstr("/rollouts/org/m2/pause did not answer like"));
    }
}

TEST_F(RolloutCommand, RefusesWrongOptionsWithoutAsking) {
    EXPECT_EQ(run("dance"), kExitConfiguration);
    EXPECT_THAT(err.str(), HasSubstr("`dance` is none of status, start"));
    for (const char* model : {"", "../drain", "m HTTP/1.1\r\nX: y", "m?x"}) {
        options.model = model;
        EXPECT_EQ(run("abort"), kExitConfiguration) << model;
        EXPECT_THAT(requests, IsEmpty());
    }
    options.model = "m1";
    options.token_file = "/nowhere/token";
    EXPECT_EQ(run(), kExitConfiguration);
    options.token_file.clear();
    options.admin = "127.0.0.1:9091";
    EXPECT_EQ(run(), kExitConfiguration);
    EXPECT_THAT(requests, IsEmpty());
}

TEST_F(RolloutCommand, SendsTheTokenOfTheFile) {
    const test::TempDir directory;
    options.token_file = directory.write("token", "t0ken\n");
    options.admin = "http://10.0.0.1:9/";
    EXPECT_EQ(run(), kExitClean);
    EXPECT_THAT(headers, ElementsAre(testing::Pair("Authorization", "Bearer t0ken")));
    EXPECT_THAT(requests, ElementsAre("GET http://10.0.0.1:9/rollouts"));
}

}  // namespace
}  // namespace millrace::gateway
