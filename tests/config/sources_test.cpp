#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "config/load.hpp"

namespace millrace::config {
namespace {

class SystemSources : public testing::Test {
protected:
    SystemSources() {
        std::filesystem::create_directories(folder_ / "routes");
        for (const auto* name : {"routes/b.yaml", "routes/a.yaml", "routes/c.txt"}) {
            std::ofstream(folder_ / name) << name;
        }
        std::ofstream(folder_ / "empty");
    }
    ~SystemSources() override { std::filesystem::remove_all(folder_); }

    std::string at(const std::string& name) const { return (folder_ / name).string(); }

    std::filesystem::path folder_ =
        std::filesystem::temp_directory_path() / ("millrace-sources-" + std::to_string(getpid()));
    Sources sources_ = system_sources();
};

TEST_F(SystemSources, ReadFilesButNotFolders) {
    EXPECT_EQ(sources_.read_file(at("routes/a.yaml")), "routes/a.yaml");
    EXPECT_EQ(sources_.read_file(at("empty")), "");
    EXPECT_EQ(sources_.read_file(at("gone")), std::nullopt);
    EXPECT_EQ(sources_.read_file(at("routes")), std::nullopt);
}

TEST_F(SystemSources, ReadFilesLargerThanOneBlock) {
    const std::string large(100'000, 'x');
    std::ofstream(folder_ / "large") << large;
    EXPECT_EQ(sources_.read_file(at("large")), large);
}

TEST_F(SystemSources, ExpandPatternsInOrder) {
    EXPECT_THAT(sources_.expand(at("routes/*.yaml")),
                testing::ElementsAre(at("routes/a.yaml"), at("routes/b.yaml")));
    EXPECT_THAT(sources_.expand(at("empty")), testing::ElementsAre(at("empty")));
    EXPECT_THAT(sources_.expand(at("gone*")), testing::IsEmpty());
}

TEST_F(SystemSources, ReadTheEnvironment) {
    EXPECT_EQ(sources_.environment("PATH"), std::getenv("PATH"));
    EXPECT_EQ(sources_.environment("MILLRACE_TEST_IS_NOT_SET"), std::nullopt);
}

}  // namespace
}  // namespace millrace::config
