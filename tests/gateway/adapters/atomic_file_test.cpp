#include "gateway/adapters/atomic_file.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "gateway/adapters/file_reader.hpp"
#include "tests/support/temp_dir.hpp"

namespace millrace::gateway {
namespace {

TEST(ReplaceFile, MakesItsFolderAndLeavesNoDraft) {
    const test::TempDir folder;
    const auto path = (folder.path() / "deep" / "er" / "state.json").string();
    ASSERT_TRUE(replace_file(path, "one"));
    EXPECT_EQ(*read_whole_file(path), "one");
    const std::string large(300'000, 'x');
    ASSERT_TRUE(replace_file(path, large));
    EXPECT_EQ(*read_whole_file(path), large);
    EXPECT_FALSE(std::filesystem::exists(path + ".tmp"));
}

TEST(ReplaceFile, LeavesTheOldContentsWhenItCannotWrite) {
    const test::TempDir folder;
    const auto path = (folder.path() / "state.json").string();
    ASSERT_TRUE(replace_file(path, "old"));
    std::filesystem::create_directory(path + ".tmp");
    const auto written = replace_file(path, "new");
    ASSERT_FALSE(written);
    EXPECT_NE(written.error().detail.find(path), std::string::npos);
    EXPECT_EQ(*read_whole_file(path), "old");
}

}  // namespace
}  // namespace millrace::gateway
