#include "gateway/commands/cli.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <vector>

#include "gateway/commands/exit_code.hpp"
#include "tests/support/temp_dir.hpp"

namespace millrace::gateway {
namespace {

using testing::HasSubstr;

class Cli : public testing::Test {
protected:
    int run(std::vector<const char*> arguments) {
        out.str("");
        err.str("");
        arguments.insert(arguments.begin(), "millrace");
        return run_cli(static_cast<int>(arguments.size()), arguments.data(), out, err,
                       [this](const ServeOptions& options) {
                           served = options.config_file;
                           return kExitDrainDeadline;
                       });
    }

    std::string served;
    std::ostringstream out;
    std::ostringstream err;
};

TEST_F(Cli, HandsTheConfigurationToServeAndReturnsItsExitCode) {
    EXPECT_EQ(run({"serve", "-c", "m.yaml"}), kExitDrainDeadline);
    EXPECT_EQ(served, "m.yaml");
    served.clear();
    EXPECT_EQ(run({"serve", "--config", "n.yaml"}), kExitDrainDeadline);
    EXPECT_EQ(served, "n.yaml");
}

TEST_F(Cli, RefusesAWrongCommandLineAsAConfigurationError) {
    for (const std::vector<const char*>& arguments : std::vector<std::vector<const char*>>{
             {},
             {"sevre"},
             {"serve"},
             {"serve", "-c", "a", "b"},
             {"check"},
             {"drain", "--timeout", "soon"},
             {"rollout"},
             {"rollout", "m", "dance"},
             {"rollout", "m", "pause", "now"},
             {"schema", "--markdown", "--metrics"},
             {"keys"},
             {"keys", "new", "--tenant", "a"},
             {"keys", "new", "--tenant", "a", "--pepper-file", "f", "--pepper-env", "E"},
             {"keys", "digest", "--pepper-file", "f"},
             {"explain", "--path", "/"},
             {"version", "--what"}}) {
        EXPECT_EQ(run(arguments), kExitConfiguration) << testing::PrintToString(arguments);
        EXPECT_FALSE(err.str().empty());
        EXPECT_EQ(out.str(), "");
        EXPECT_EQ(served, "");
    }
}

TEST_F(Cli, ShowsHelpOfEveryCommand) {
    EXPECT_EQ(run({"--help"}), kExitClean);
    for (const char* command :
         {"serve", "drain", "rollout", "check", "schema", "explain", "keys", "version"}) {
        EXPECT_THAT(out.str(), HasSubstr(command));
    }
    EXPECT_EQ(run({"drain", "--help"}), kExitClean);
    EXPECT_THAT(out.str(), HasSubstr("600s"));
}

TEST_F(Cli, PrintsTheVersions) {
    EXPECT_EQ(run({"version"}), kExitClean);
    EXPECT_THAT(out.str(), testing::MatchesRegex("millrace [0-9]+\\.[0-9]+\\.[0-9]+\n(.|\n)*"));
    for (const char* part : {"compiler: ", "boost: 1.", "openssl: OpenSSL 3.", "nlohmann-json: 3.",
                             "spdlog: 1.", "cli11: "}) {
        EXPECT_THAT(out.str(), HasSubstr(part));
    }
}

TEST_F(Cli, PrintsTheThreeDescriptions) {
    EXPECT_EQ(run({"schema"}), kExitClean);
    EXPECT_TRUE(nlohmann::json::parse(out.str()).contains("properties"));
    EXPECT_EQ(run({"schema", "--markdown"}), kExitClean);
    EXPECT_THAT(out.str(), HasSubstr("listeners"));
    EXPECT_EQ(run({"schema", "--metrics"}), kExitClean);
    EXPECT_THAT(out.str(), HasSubstr("millrace_"));
}

TEST_F(Cli, ReachesCheckExplainKeysAndDrain) {
    const test::TempDir directory;
    const auto config =
        directory.write("m.yaml",
                        "models: [{id: m, variants: [{name: v, backend: b}]}]\n"
                        "backends: {b: {endpoints: {static: [http://127.0.0.1:8001]}}}\n");
    const auto body = directory.write("body", R"({"model": "m"})");
    const auto pepper = directory.write("pepper", "p");
    EXPECT_EQ(run({"check", config.c_str()}), kExitClean) << err.str();
    EXPECT_EQ(run({"explain", "-c", config.c_str(), "--body", body.c_str(), "--header", "a: b",
                   "--header", "c: d", "--json"}),
              kExitClean)
        << err.str();
    EXPECT_EQ(nlohmann::json::parse(out.str())["backend"], "b");
    EXPECT_EQ(run({"keys", "new", "--tenant", "acme", "--pepper-file", pepper.c_str()}),
              kExitClean);
    EXPECT_THAT(out.str(), HasSubstr(" acme "));
    // Nothing listens on port 1: the refusal shows that the command ran with its options.
    EXPECT_EQ(run({"drain", "--admin", "http://127.0.0.1:1", "--timeout", "5s", "--no-wait"}),
              kExitRuntimeFailure);
    EXPECT_THAT(err.str(), HasSubstr("http://127.0.0.1:1/drain"));
}

}  // namespace
}  // namespace millrace::gateway
