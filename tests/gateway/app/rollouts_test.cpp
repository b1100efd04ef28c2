#include "gateway/app/rollouts.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "gateway/adapters/file_reader.hpp"
#include "routing/rollout_settings.hpp"
#include "tests/support/manual_clock.hpp"
#include "tests/support/temp_dir.hpp"

namespace millrace::gateway {
namespace {

using namespace std::chrono_literals;
using routing::RolloutArm;

/// A gateway's rollouts, and what its workers would do.
class RolloutsTest : public testing::Test {
protected:
    RolloutsTest() {
        config::Model model;
        model.id = "org/m";
        model.variants = {{"v1", 1, "a", ""}, {"v2", 1, "b", ""}};
        model.rollout.emplace().canary = "v2";
        model.rollout->steps = {10, 50, 100};
        config.models = {std::move(model)};
        config.rollouts.state_directory = folder.path().string();
        restart();
    }

    void restart() {
        rollouts.reset();
        directory.emplace(2);
        rollouts.emplace(*directory, registry, clock,
                         [this](config::LogLevel, const std::string& line) { log += line + "\n"; });
        rollouts->follow(config);
    }
    routing::RolloutTraffic& traffic() {
        keep = directory->acquire(routing::rollout_names(config.models[0]), 0);
        return *keep;
    }
    nlohmann::json report() { return nlohmann::json::parse(rollouts->to_json())["rollouts"][0]; }
    void tick(Duration passed = 1s) {
        clock.advance(passed);
        rollouts->advance();
    }
    void serve(int n, bool canary_fails) {
        for (int i = 0; i < n; ++i) {
            traffic().observe(0, RolloutArm::stable, {});
            traffic().observe(
                1, RolloutArm::canary,
                {.failed = canary_fails, .first_token = {}, .token_gap = {}, .cost = {}});
        }
    }
    std::string file() const { return (folder.path() / "org~m.json").string(); }
    double gauge(const std::string& line) {
        const auto page = registry.render();
        const auto at = page.find(line + " ");
        return at == std::string::npos ? -1 : std::stod(page.substr(at + line.size() + 1));
    }

    test::TempDir folder;
    test::ManualClock clock;
    config::Config config;
    metrics::Registry registry{1};
    std::string log;
    std::optional<routing::RolloutDirectory> directory;
    std::optional<Rollouts> rollouts;
    std::shared_ptr<routing::RolloutTraffic> keep;
};

TEST_F(RolloutsTest, StartByThemselvesAtTheFirstStep) {
    EXPECT_EQ(report()["phase"], "running");
    EXPECT_EQ(traffic().weight(), 10U);
    EXPECT_EQ(gauge(R"(millrace_rollout_weight_percent{model="org/m"})"), 10);
    EXPECT_EQ(gauge(R"(millrace_rollout_phase{model="org/m",phase="running"})"), 1);
    EXPECT_EQ(gauge(R"(millrace_rollout_phase{model="org/m",phase="rolled_back"})"), 0);
}

TEST_F(RolloutsTest, RollBackACanaryThatFailsAndSayWhy) {
    tick();
    serve(20, true);
    tick();
    EXPECT_EQ(report()["phase"], "rolled_back");
    EXPECT_EQ(traffic().weight(), 0U);
    EXPECT_NE(log.find("is rolled back: at 10 % the canary's error rate 100 %"), std::string::npos)
        << log;
    EXPECT_EQ(gauge(R"(millrace_rollout_phase{model="org/m",phase="rolled_back"})"), 1);
    restart();
    EXPECT_EQ(report()["phase"], "rolled_back");
    EXPECT_EQ(traffic().weight(), 0U);
}

TEST_F(RolloutsTest, KeepTheirEvidenceOverARestart) {
    tick();
    serve(16, false);
    tick();
    rollouts->save();
    const auto before = report();
    EXPECT_EQ(before["canary_requests"], 16);
    restart();
    EXPECT_EQ(report(), before);
}

TEST_F(RolloutsTest, WriteRunningStateEveryThirtySeconds) {
    tick();
    serve(16, false);
    tick();
    const auto before = *read_whole_file(file());
    tick(10s);
    EXPECT_EQ(*read_whole_file(file()), before);
    tick(20s);
    EXPECT_NE(*read_whole_file(file()), before);
}

TEST_F(RolloutsTest, GoOnUnderAChangedPolicyAndBeginAnewForAnotherRevision) {
    tick();
    serve(16, false);
    tick();
    config.models[0].rollout->min_requests = 7;
    rollouts->follow(config);
    EXPECT_EQ(report()["canary_requests"], 16);
    config.models[0].rollout->steps = {20, 100};
    rollouts->follow(config);
    EXPECT_EQ(report()["weight_percent"], 20) << "10 % is no longer a step";
    EXPECT_NE(log.find("no longer one of the steps"), std::string::npos) << log;
    serve(16, false);
    config.models[0].variants[1].served_name = "v3";
    rollouts->follow(config);
    EXPECT_EQ(report()["canary_requests"], 0);
    EXPECT_EQ(traffic().weight(), 20U);
    config.models[0].rollout.reset();
    rollouts->follow(config);
    EXPECT_EQ(rollouts->to_json(), "{\"rollouts\": []}\n");
    EXPECT_EQ(gauge(R"(millrace_rollout_weight_percent{model="org/m"})"), -1);
}

TEST_F(RolloutsTest, BeginAnewWhenTheStoredStateIsBroken) {
    rollouts->save();
    ASSERT_TRUE(std::filesystem::exists(file()));
    std::filesystem::resize_file(file(), 10);
    restart();
    EXPECT_EQ(report()["phase"], "running");
    EXPECT_NE(log.find("model org/m: the rollout starts anew: the stored rollout is not JSON"),
              std::string::npos)
        << log;
}

TEST_F(RolloutsTest, ObeyOnlyWhatTheirPhaseAllows) {
    const auto code = [this](const char* model, const char* word) {
        const auto answer = rollouts->command(model, word);
        return answer ? "ok" : std::string(to_string(answer.error().code));
    };
    EXPECT_EQ(code("org/m", "pause"), "ok");
    EXPECT_EQ(code("org/m", "pause"), "forbidden");
    EXPECT_EQ(rollouts->command("org/m", "pause").error().detail,
              "cannot pause a rollout that is paused");
    EXPECT_EQ(code("org/m", "resume"), "ok");
    EXPECT_EQ(code("org/m", "promote"), "ok");
    EXPECT_EQ(traffic().weight(), 100U);
    restart();
    EXPECT_EQ(traffic().weight(), 100U);
    EXPECT_EQ(code("org/m", "abort"), "ok");
    EXPECT_EQ(traffic().weight(), 0U);
    EXPECT_EQ(code("org/m", "start"), "ok");
    EXPECT_EQ(traffic().weight(), 10U);
    EXPECT_EQ(code("org/m", "dance"), "path_not_found");
    EXPECT_EQ(code("other", "pause"), "model_not_found");
}

TEST_F(RolloutsTest, LiveInMemoryWithoutAFolder) {
    config.rollouts.state_directory.clear();
    std::filesystem::remove(file());
    restart();
    ASSERT_TRUE(rollouts->command("org/m", "promote"));
    EXPECT_FALSE(std::filesystem::exists(file()));
    restart();
    EXPECT_EQ(report()["phase"], "running");
}

}  // namespace
}  // namespace millrace::gateway
