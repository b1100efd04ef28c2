// A canary that watches itself: what fails is taken back and says why, what is good is promoted,
// and a restart forgets nothing.
#include <atomic>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/integration/rig.hpp"

namespace millrace::test {
namespace {

using testing::HasSubstr;

/// Model m1 between a sound stable backend and a canary that plays `script`.
class RolloutRig {
public:
    explicit RolloutRig(ScriptedBackend::Script script = ScriptedBackend::answering(well_behaved),
                        std::string policy = "steps: [50, 100], min_step_time: 1h",
                        std::string stable_extra = {}, std::string canary_extra = {})
        : canary(std::move(script)),
          policy_(std::move(policy)),
          stable_extra_(std::move(stable_extra)),
          canary_extra_(std::move(canary_extra)) {
        start();
    }

    void start() {
        gateway.emplace(GatewayOptions{
            .document = "models:\n"
                        "  - id: m1\n"
                        "    variants: [{name: v1, backend: old}, {name: v2, weight: 0, backend: "
                        "new}]\n"
                        "    rollout: {canary: v2, " +
                        policy_ +
                        "}\n"
                        "backends:\n"
                        "  old: {endpoints: {static: [\"" +
                        stable.url() + "\"]}" + stable_extra_ +
                        "}\n  new: {endpoints: {static: [\"" + canary.url() +
                        "\"]}, outliers: {failures: 0}" + canary_extra_ +
                        "}\nrollouts: {state_directory: \"" + state.path().string() + "\"}\n"});
    }
    nlohmann::json report() const {
        return gateway->admin("GET", "/rollouts").json()["rollouts"][0];
    }
    std::string phase() const { return report()["phase"]; }
    Message order(std::string_view command) const {
        return gateway->admin("POST", "/rollouts/m1/" + std::string(command));
    }
    /// Statuses that are not 200, of `n` requests.
    int serve(int n, bool stream = false) const {
        int failed = 0;
        for (int i = 0; i < n; ++i) {
            failed +=
                call(gateway->port(), post(kChat, chat("m1", stream))).status() == 200 ? 0 : 1;
        }
        return failed;
    }
    bool serve_until(const std::string& wanted) const {
        return eventually([&] {
            serve(10);
            return phase() == wanted;
        });
    }

    TempDir state;
    ScriptedBackend stable{ScriptedBackend::answering(well_behaved)};
    ScriptedBackend canary;
    std::optional<GatewayProcess> gateway;

private:
    std::string policy_;
    std::string stable_extra_;
    std::string canary_extra_;
};

TEST(Rollout, GivesTheCanaryTheShareOfItsStep) {
    const RolloutRig rig;
    EXPECT_EQ(rig.serve(20), 0);
    EXPECT_EQ(rig.canary.request_count(), 10U) << "its configured weight is 0";
    EXPECT_EQ(rig.gateway->metrics().value("millrace_rollout_weight_percent", {{"model", "m1"}}),
              50);
    EXPECT_EQ(rig.gateway->metrics().value("millrace_rollout_phase",
                                           {{"model", "m1"}, {"phase", "running"}}),
              1);
    const auto explained = rig.gateway->admin(
        "POST", "/explain", R"({"method": "POST", "target": "/v1/chat/completions",
                               "body": "{\"model\": \"m1\"}"})");
    EXPECT_THAT(explained.body, HasSubstr("the configured weights do not count"));
}

TEST(Rollout, TakesBackACanaryThatFailsAndSaysWhy) {
    RolloutRig rig(ScriptedBackend::always(json_response(nlohmann::json::object(), 500)));
    ASSERT_TRUE(rig.serve_until("rolled_back"));
    const auto report = rig.report();
    EXPECT_EQ(report["weight_percent"], 0);
    EXPECT_THAT(report["explanation"].get<std::string>(),
                HasSubstr("the canary's error rate 100 % against 0 %"));
    EXPECT_THAT(rig.gateway->errors(),
                HasSubstr("canary v2 of model m1 is rolled back: at 50 % the canary's error rate"));
    const auto before = rig.canary.request_count();
    EXPECT_EQ(rig.serve(20), 0);
    EXPECT_EQ(rig.canary.request_count(), before);
    EXPECT_EQ(rig.gateway->stop(), 0);
    rig.start();
    EXPECT_EQ(rig.report(), report) << "forgotten by a restart";
    EXPECT_EQ(rig.serve(20), 0);
    EXPECT_EQ(rig.canary.request_count(), before);
}

TEST(Rollout, TakesBackACanaryWhoseTokensCostTwiceAsMuch) {
    RolloutRig rig(ScriptedBackend::answering(well_behaved),
                   "steps: [50, 100], min_step_time: 1h, cost: {harm_percent: 20}",
                   ", cost_per_hour: 2, slots_per_endpoint: 8",
                   ", cost_per_hour: 4, slots_per_endpoint: 8");
    ASSERT_TRUE(rig.serve_until("rolled_back")) << rig.report().dump();
    EXPECT_THAT(rig.report()["explanation"].get<std::string>(),
                HasSubstr("at 50 % the canary's cost per token $"));
}

TEST(Rollout, TakesBackACanaryThatCannotBeReached) {
    RolloutRig rig;
    rig.canary.stop_accepting();
    ASSERT_TRUE(rig.serve_until("rolled_back"));
    EXPECT_EQ(rig.serve(10), 0);
}

TEST(Rollout, IsNotMovedByClientsMistakes) {
    const RolloutRig rig(ScriptedBackend::always(json_response(nlohmann::json::object(), 400)));
    EXPECT_EQ(rig.serve(60), 30);
    ASSERT_TRUE(eventually([&] { return rig.report()["stable_requests"] == 30; }));
    EXPECT_EQ(rig.report()["canary_requests"], 0);
    EXPECT_EQ(rig.phase(), "running");
}

TEST(Rollout, PromotesACanaryThatIsAsGood) {
    // Wide margins, so that a few hundred requests are enough; the tokens of a script come at once.
    RolloutRig rig(ScriptedBackend::answering(well_behaved),
                   "steps: [50, 100], min_requests: 8, min_step_time: 0s, first_token: "
                   "{harm_percent: 0}, token_gap: {harm_percent: 0}, errors: {tolerated_permille: "
                   "100, harm_permille: 500}");
    ASSERT_TRUE(rig.serve_until("promoted"));
    const auto before = rig.stable.request_count();
    EXPECT_EQ(rig.serve(20), 0);
    EXPECT_EQ(rig.stable.request_count(), before);
    EXPECT_THAT(rig.report()["explanation"].get<std::string>(), HasSubstr("is promoted"));
}

TEST(Rollout, MeasuresTheTimesOfStreams) {
    const RolloutRig rig;
    EXPECT_EQ(rig.serve(32, true), 0);
    ASSERT_TRUE(eventually([&] {
        const auto seen = rig.report()["comparisons"][1];
        return seen["measure"] == "first_token" && !seen["canary"].is_null() &&
               seen["canary"]["observations"] == 16 && seen["canary"]["value"] > 0;
    })) << rig.report().dump();
}

TEST(Rollout, ObeysAndSaysWhenItCannot) {
    RolloutRig rig;
    EXPECT_EQ(rig.order("resume").status(), 409);
    EXPECT_THAT(rig.order("resume").body, HasSubstr("cannot resume a rollout that is running"));
    EXPECT_EQ(rig.order("pause").json()["phase"], "paused");
    EXPECT_EQ(rig.order("resume").json()["phase"], "running");
    EXPECT_EQ(rig.order("abort").json()["phase"], "aborted");
    EXPECT_EQ(rig.serve(20), 0);
    EXPECT_EQ(rig.canary.request_count(), 0U);
    EXPECT_EQ(rig.order("start").json()["weight_percent"], 50);
    EXPECT_EQ(rig.order("promote").json()["weight_percent"], 100);
    rig.gateway->signal(SIGKILL);
    ASSERT_TRUE(rig.gateway->wait());
    rig.start();
    EXPECT_EQ(rig.phase(), "promoted") << "an order is on disk when it is answered";
    EXPECT_EQ(rig.serve(10), 0);
    EXPECT_EQ(rig.stable.request_count(), 20U);
    EXPECT_EQ(rig.order("dance").status(), 404);
    EXPECT_EQ(rig.gateway->admin("POST", "/rollouts/m2/pause").status(), 404);
}

TEST(Rollout, ObeysTheCommandLine) {
    const RolloutRig rig;
    const auto command = [&](std::vector<std::string> words) {
        std::vector<std::string> line{
            program("millrace"), "rollout", "--admin",
            "http://" + loopback() + ':' + std::to_string(rig.gateway->admin_port())};
        line.insert(line.end(), words.begin(), words.end());
        return run(line);
    };
    const auto paused = command({"m1", "pause"});
    EXPECT_EQ(paused.code, 0) << paused.output;
    EXPECT_THAT(paused.output, HasSubstr("canary v2 of model m1 gets 50 %"));
    EXPECT_EQ(rig.phase(), "paused");
    const auto shown = command({"m1", "--json"});
    EXPECT_EQ(nlohmann::json::parse(shown.output)["phase"], "paused") << shown.output;
    const auto again = command({"m1", "pause"});
    EXPECT_EQ(again.code, 1);
    EXPECT_THAT(again.output, HasSubstr("cannot pause a rollout that is paused"));
}

TEST(Rollout, GoesOnOverAReload) {
    RolloutRig rig;
    EXPECT_EQ(rig.order("pause").status(), 200);
    EXPECT_EQ(rig.serve(32), 0);
    ASSERT_TRUE(eventually([&] { return rig.report()["canary_requests"] == 16; }));
    auto document = one_model(rig.stable.url(), {}, {}, "m2");
    document.replace(
        document.find("backends:"), 9,
        "  - {id: m1, variants: [{name: v1, backend: old}, {name: v2, backend: new}], rollout: "
        "{canary: v2, steps: [50, 100]}}\nrollouts: {state_directory: \"" +
            rig.state.path().string() + "\"}\nbackends:\n  old: {endpoints: {static: [\"" +
            rig.stable.url() + "\"]}}\n  new: {endpoints: {static: [\"" + rig.canary.url() +
            "\"]}}");
    rig.gateway->write_document(document);
    ASSERT_TRUE(rig.gateway->reload());
    EXPECT_EQ(rig.phase(), "paused");
    EXPECT_EQ(rig.report()["canary_requests"], 16);
}

}  // namespace
}  // namespace millrace::test
