#include "gateway/admin/routes.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::gateway {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::unexpected<Error> refused(const std::string& why) {
    return failure(Errc::internal, Origin::policy, why);
}

/// A control plane that writes down what was asked of it.
class Routes : public testing::Test {
protected:
    ControlPlane plane() {
        return {
            .drain = [this]() -> Result<void> {
                calls.push_back("drain");
                return {};
            },
            .undrain = [this]() -> Result<void> {
                calls.push_back("undrain");
                return shutting_down ? Result<void>(refused("Shutting down.")) : Result<void>();
            },
            .drain_endpoint = [this](const std::string& backend, const std::string& url,
                                     bool drained) -> Result<void> {
                calls.push_back(backend + " " + url + (drained ? " out" : " in"));
                return backend == "known" ? Result<void>() : refused("No such backend.");
            },
            .ready = [this] { return Readiness{is_ready, is_ready ? "ready" : "draining"}; },
            .render_metrics = [] { return std::string("up 1\n"); },
            .scaling_json = [](const std::string& model) -> std::optional<std::string> {
                return model == "org/llama" ? std::optional<std::string>(R"({"value":3})")
                                            : std::nullopt;
            },
            .status_json = [] { return std::string(R"({"in_flight":0})"); },
            .explain = [](const std::string& body) -> Result<std::string> {
                return body == "{}" ? Result<std::string>(R"({"lines":[]})") : refused("Bad body.");
            },
            .rollouts_json = [] { return std::string(R"({"rollouts":[]})"); },
            .command_rollout = [this](const std::string& model,
                                      const std::string& command) -> Result<std::string> {
                calls.push_back(command + " " + model);
                if (model != "org/llama") {
                    return failure(Errc::model_not_found, Origin::policy, "No such rollout.");
                }
                return command == "pause" ? Result<std::string>(R"({"phase":"paused"})")
                                          : refused("cannot resume a rollout that is running");
            },
        };
    }

    ControlResponse metrics(const std::string& method, const std::string& target) {
        return dispatch(metrics_routes(plane()), method, target, "");
    }
    ControlResponse admin(const std::string& method, const std::string& target,
                          const std::string& body = "") {
        return dispatch(admin_routes(plane()), method, target, body);
    }

    std::vector<std::string> calls;
    bool is_ready = true;
    bool shutting_down = false;
};

TEST_F(Routes, RenderMetricsAsPrometheusText) {
    const auto response = metrics("GET", "/metrics");
    EXPECT_EQ(response.status, 200U);
    EXPECT_EQ(response.body, "up 1\n");
    EXPECT_EQ(response.content_type, "text/plain; version=0.0.4; charset=utf-8");
}

TEST_F(Routes, TellLivenessFromReadiness) {
    EXPECT_EQ(metrics("GET", "/readyz").status, 200U);
    is_ready = false;
    EXPECT_EQ(metrics("GET", "/readyz").status, 503U);
    EXPECT_EQ(metrics("GET", "/readyz").body, "draining\n");
    EXPECT_EQ(metrics("GET", "/healthz").status, 200U);
}

TEST_F(Routes, GiveTheScalingValueOfAModelWhoseIdHasASlash) {
    EXPECT_EQ(metrics("GET", "/scaling/v1/models/org%2Fllama").body, R"({"value":3})");
    EXPECT_EQ(metrics("GET", "/scaling/v1/models/org/llama").status, 200U);
    const auto unknown = metrics("GET", "/scaling/v1/models/other");
    EXPECT_EQ(unknown.status, 404U);
    EXPECT_THAT(unknown.body, HasSubstr("model_not_found"));
}

TEST_F(Routes, DrainAndUndrainTheGateway) {
    const auto response = admin("POST", "/drain");
    EXPECT_EQ(response.status, 200U);
    EXPECT_EQ(response.body, R"({"in_flight":0})");
    EXPECT_EQ(admin("POST", "/undrain").status, 200U);
    EXPECT_THAT(calls, ElementsAre("drain", "undrain"));
    shutting_down = true;
    const auto late = admin("POST", "/undrain");
    EXPECT_EQ(late.status, 409U);
    EXPECT_THAT(late.body, HasSubstr("Shutting down."));
}

TEST_F(Routes, DrainAndUndrainOneEndpoint) {
    const std::string query = "?backend=known&endpoint=http%3A%2F%2F10.0.0.1%3A8000";
    EXPECT_EQ(admin("POST", "/drain" + query).status, 200U);
    EXPECT_EQ(admin("POST", "/undrain" + query).status, 200U);
    EXPECT_EQ(admin("POST", "/drain?endpoint=u&backend=x").status, 404U);
    EXPECT_THAT(calls, ElementsAre("known http://10.0.0.1:8000 out",
                                   "known http://10.0.0.1:8000 in", "x u out"));
}

TEST_F(Routes, NeverDrainTheGatewayForHalfAQuestion) {
    EXPECT_EQ(admin("POST", "/drain?backend=known").status, 400U);
    EXPECT_EQ(admin("POST", "/drain?endpoint=http://a").status, 400U);
    EXPECT_EQ(admin("GET", "/drain").status, 405U);
    EXPECT_TRUE(calls.empty());
}

TEST_F(Routes, ExplainAndShowStatus) {
    EXPECT_EQ(admin("POST", "/explain", "{}").body, R"({"lines":[]})");
    const auto bad = admin("POST", "/explain", "x");
    EXPECT_EQ(bad.status, 400U);
    EXPECT_THAT(bad.body, HasSubstr("Bad body."));
    EXPECT_EQ(admin("GET", "/status").body, R"({"in_flight":0})");
}

TEST_F(Routes, KeepTheTwoListenersApart) {
    for (const char* target : {"/drain", "/undrain", "/explain"}) {
        EXPECT_EQ(metrics("POST", target).status, 404U);
    }
    EXPECT_EQ(metrics("GET", "/status").status, 404U);
    EXPECT_EQ(admin("GET", "/metrics").status, 404U);
}

TEST_F(Routes, CommandRolloutsOfModelsWithSlashes) {
    EXPECT_EQ(admin("GET", "/rollouts").body, R"({"rollouts":[]})");
    const auto paused = admin("POST", "/rollouts/org/llama/pause");
    EXPECT_EQ(paused.status, 200U);
    EXPECT_EQ(paused.body, R"({"phase":"paused"})");
    EXPECT_EQ(admin("POST", "/rollouts/org%2Fllama/pause").status, 200U);
    EXPECT_THAT(calls, ElementsAre("pause org/llama", "pause org/llama"));
    const auto wrong_order = admin("POST", "/rollouts/org/llama/resume");
    EXPECT_EQ(wrong_order.status, 409U);
    EXPECT_THAT(wrong_order.body, HasSubstr("cannot resume a rollout that is running"));
    EXPECT_EQ(admin("POST", "/rollouts/other/pause").status, 404U);
    EXPECT_EQ(admin("POST", "/rollouts/pause").status, 404U);
    EXPECT_EQ(admin("GET", "/rollouts/org/llama/pause").status, 405U);
}

}  // namespace
}  // namespace millrace::gateway
