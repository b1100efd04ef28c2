#include "gateway/commands/drain.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <sstream>

#include "gateway/commands/exit_code.hpp"
#include "tests/support/manual_clock.hpp"
#include "tests/support/temp_dir.hpp"

namespace millrace::gateway {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

HttpAnswer counts(int in_flight, int queued) {
    return {200,
            {},
            R"({"state":"draining","in_flight":)" + std::to_string(in_flight) + R"(,"queued":)" +
                std::to_string(queued) + "}"};
}

/// A gateway that answers from a script, in a time that passes only while the command pauses.
class DrainCommand : public testing::Test {
protected:
    DrainCommand() {
        ports.clock = &clock;
        ports.pause = [this](Duration time) { clock.advance(time); };
        ports.exchange = [this](const HttpRequest& request) -> Result<HttpAnswer> {
            requests.push_back(request.method + " " + request.url);
            headers = request.headers;
            if (answers.empty()) {
                return failure(Errc::upstream_closed, Origin::upstream, "Connection refused.");
            }
            auto answer = answers.front();
            if (answers.size() > 1 || !repeat_last) {
                answers.pop_front();
            }
            return answer;
        };
    }

    int drain() { return run_drain(options, ports, out, err); }

    test::ManualClock clock;
    DrainPorts ports;
    DrainOptions options;
    std::deque<HttpAnswer> answers;
    bool repeat_last = false;
    std::vector<std::string> requests;
    std::vector<std::pair<std::string, std::string>> headers;
    std::ostringstream out;
    std::ostringstream err;
};

TEST_F(DrainCommand, WaitsUntilNothingIsQueuedOrInFlight) {
    answers = {counts(3, 1), counts(2, 0), counts(0, 1), counts(0, 0)};
    EXPECT_EQ(drain(), kExitClean) << err.str();
    EXPECT_THAT(
        requests,
        ElementsAre("POST http://127.0.0.1:9091/drain", "GET http://127.0.0.1:9091/status",
                    "GET http://127.0.0.1:9091/status", "GET http://127.0.0.1:9091/status"));
    EXPECT_EQ(out.str(), "The gateway is drained.\n");
    EXPECT_EQ(err.str(), "");
}

TEST_F(DrainCommand, ReturnsAtOnceWhenNothingRuns) {
    answers = {counts(0, 0)};
    EXPECT_EQ(drain(), kExitClean);
    EXPECT_EQ(requests.size(), 1U);
}

TEST_F(DrainCommand, GivesUpAtTheDeadline) {
    answers = {counts(2, 5)};
    repeat_last = true;
    options.timeout = 10s;
    const auto start = clock.now();
    EXPECT_EQ(drain(), kExitDrainDeadline);
    EXPECT_EQ(clock.now() - start, 10s);
    EXPECT_THAT(err.str(), HasSubstr("The deadline passed with 2 in flight, 5 queued."));
}

TEST_F(DrainCommand, DoesNotWaitWhenToldSo) {
    answers = {counts(3, 0)};
    options.wait = false;
    EXPECT_EQ(drain(), kExitClean);
    EXPECT_THAT(out.str(), HasSubstr("draining: 3 in flight, 0 queued."));
}

TEST_F(DrainCommand, ShowsProgressOnATerminalOnly) {
    answers = {counts(2, 0), counts(2, 0), counts(1, 0), counts(0, 0)};
    options.progress = true;
    EXPECT_EQ(drain(), kExitClean);
    EXPECT_EQ(err.str(), "2 in flight, 0 queued\n1 in flight, 0 queued\n0 in flight, 0 queued\n");
}

TEST_F(DrainCommand, SendsTheTokenOfTheFile) {
    const test::TempDir directory;
    options.token_file = directory.write("token", "t0ken\n");
    options.admin = "http://127.0.0.1:9091/";
    answers = {counts(0, 0)};
    EXPECT_EQ(drain(), kExitClean);
    EXPECT_THAT(headers, ElementsAre(testing::Pair("Authorization", "Bearer t0ken")));
    EXPECT_THAT(requests, ElementsAre("POST http://127.0.0.1:9091/drain"));
    options.token_file = "/nowhere/token";
    EXPECT_EQ(drain(), kExitConfiguration);
}

TEST_F(DrainCommand, FailsWithTheReasonOfTheGateway) {
    answers = {{401, {}, R"({"error":{"code":"unauthorized","message":"Needs its token."}})"}};
    EXPECT_EQ(drain(), kExitRuntimeFailure);
    EXPECT_THAT(err.str(), HasSubstr("refused with 401: Needs its token."));
}

TEST_F(DrainCommand, FailsWhenTheGatewayIsGoneOrAnotherProgram) {
    EXPECT_EQ(drain(), kExitRuntimeFailure);
    EXPECT_THAT(err.str(), HasSubstr("Connection refused."));
    for (const char* body : {"", "hello", "[]", "{}", R"({"in_flight":"0","queued":0})",
                             R"({"in_flight":-1,"queued":0})"}) {
        answers = {{200, {}, body}};
        EXPECT_EQ(drain(), kExitRuntimeFailure) << body;
    }
    EXPECT_THAT(err.str(), HasSubstr("did not answer like a Millrace admin listener"));
    answers = {counts(1, 0)};
    EXPECT_EQ(drain(), kExitRuntimeFailure);  // gone while we waited
}

TEST_F(DrainCommand, RefusesABadAdminUrl) {
    options.admin = "127.0.0.1:9091";
    EXPECT_EQ(drain(), kExitConfiguration);
    EXPECT_TRUE(requests.empty());
}

}  // namespace
}  // namespace millrace::gateway
