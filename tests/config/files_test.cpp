#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/bind.hpp"
#include "tests/config/fake_sources.hpp"

namespace millrace::config {
namespace {

using test::FakeSources;
using test::load_text;

TEST(Files, ResolvesPathsFromTheFolderOfTheDocument) {
    const FakeSources fake;
    const auto sources = fake.sources();
    const Files absolute(sources, "/etc/millrace/millrace.yaml");
    EXPECT_EQ(absolute.resolve("a/b"), "/etc/millrace/a/b");
    EXPECT_EQ(absolute.resolve("../b"), "/etc/b");
    EXPECT_EQ(absolute.resolve("/b"), "/b");
    const Files relative(sources, "millrace.yaml");
    EXPECT_EQ(relative.resolve("routes/*.yaml"), "routes/*.yaml");
}

TEST(Files, NotesEveryPathOnceEvenWhenItCannotBeRead) {
    FakeSources fake;
    fake.files["/a"] = "x";
    const auto sources = fake.sources();
    Files files(sources, "/etc/m.yaml");
    EXPECT_EQ(files.read("/a"), "x");
    EXPECT_EQ(files.read("/gone"), std::nullopt);
    files.read("/a");
    EXPECT_THAT(files.read_paths(), testing::ElementsAre("/a", "/gone"));
}

TEST(Files, FingerprintFollowsTheFilesThatTheDocumentNames) {
    FakeSources fake;
    fake.files["/etc/millrace/c"] = "certificate";
    fake.files["/etc/millrace/k"] = "key";
    const std::string text = "listeners: {data: {tls: {certificate: c, key: k}}}\n";
    const auto before = load_text(text, fake).loaded;
    ASSERT_TRUE(before);
    EXPECT_EQ(*before, *load_text(text, fake).loaded);
    fake.files["/etc/millrace/k"] = "rotated";
    EXPECT_NE(*before, *load_text(text, fake).loaded);
}

}  // namespace
}  // namespace millrace::config
