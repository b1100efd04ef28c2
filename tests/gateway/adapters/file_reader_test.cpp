#include "gateway/adapters/file_reader.hpp"

#include <gtest/gtest.h>

#include "tests/support/temp_dir.hpp"

namespace millrace::gateway {
namespace {

using test::TempDir;

TEST(FileReader, ReadsWholeFilesOfEverySize) {
    const TempDir directory;
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{16384},
                                   std::size_t{16385}, std::size_t{100'000}}) {
        const std::string text(size, 'x');
        const auto got = read_whole_file(directory.write("f", text));
        ASSERT_TRUE(got);
        EXPECT_EQ(*got, text);
    }
    EXPECT_TRUE(read_whole_file("/proc/self/cgroup"));
}

TEST(FileReader, NamesTheFileAndTheReason) {
    const TempDir directory;
    const auto missing = read_whole_file((directory.path() / "missing").string());
    ASSERT_FALSE(missing);
    EXPECT_TRUE(missing.error().detail.contains("missing cannot be read: No such file"));
    EXPECT_TRUE(read_whole_file(directory.path()).error().detail.contains("Is a directory"));
    const auto large = read_whole_file(directory.write("large", "12345"), 4);
    ASSERT_FALSE(large);
    EXPECT_TRUE(large.error().detail.contains("larger than 4 bytes"));
    EXPECT_TRUE(read_whole_file((directory.path() / "large").string(), 5));
}

TEST(FileReader, StripsOnlyTheLineEndOfASecret) {
    const TempDir directory;
    EXPECT_EQ(read_secret_file(directory.write("a", "secret\n")).value(), "secret");
    EXPECT_EQ(read_secret_file(directory.write("b", " two words \r\n\n")).value(), " two words ");
    const auto empty = read_secret_file(directory.write("c", "\n"));
    EXPECT_TRUE(empty.error().detail.contains("is empty"));
}

}  // namespace
}  // namespace millrace::gateway
