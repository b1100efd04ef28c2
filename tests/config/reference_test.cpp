#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "config/schema.hpp"
#include "tests/config/described_keys.hpp"

namespace millrace::config {
namespace {

TEST(Reference, HasARowForEveryKeyAndValidLinks) {
    const auto text = markdown();
    for (const auto& path : test::described_keys()) {
        const auto key = path.substr(path.rfind('.') + 1);
        EXPECT_THAT(text, testing::HasSubstr("\n| `" + key + "` | ")) << path;
    }
    EXPECT_THAT(text, testing::HasSubstr("[`models[].variants[]`](#modelsvariants)"));
    EXPECT_THAT(text, testing::HasSubstr("\n## `models[].variants[]`\n"));
    EXPECT_THAT(text, testing::HasSubstr("\n## `backends.<name>.tls`\n"));
}

TEST(Reference, InDocsIsTheGeneratedOne) {
    std::ifstream file(MILLRACE_SOURCE_DIR "/docs/CONFIGURATION.md");
    const std::string written{std::istreambuf_iterator<char>(file), {}};
    EXPECT_TRUE(written == markdown())
        << "docs/CONFIGURATION.md is not what the code says; refresh it with\n"
           "    millrace schema --markdown > docs/CONFIGURATION.md";
}

}  // namespace
}  // namespace millrace::config
