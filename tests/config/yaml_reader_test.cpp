#include "config/yaml_reader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/config/fake_sources.hpp"

namespace millrace::config {
namespace {

using test::dump;
using test::unmark;

TEST(YamlReader, KeepsQuotesPlacesAndOrder) {
    Report report("f.yaml");
    const auto documents = read_yaml("a: 1\nb:\n  - \"80\"\n  - true\n", report);
    ASSERT_EQ(documents.size(), 1U) << dump(report.take());
    const auto& root = documents.front();
    ASSERT_EQ(root.entries.size(), 2U);
    EXPECT_EQ(root.find("a")->value.scalar, "1");
    EXPECT_FALSE(root.find("a")->value.quoted);
    const auto& list = root.find("b")->value;
    ASSERT_EQ(list.items.size(), 2U);
    EXPECT_TRUE(list.items[0].quoted);
    EXPECT_EQ(list.items[0].place.line, 3);
    EXPECT_EQ(list.items[0].place.column, 5);
    EXPECT_EQ(root.find("missing"), nullptr);
}

TEST(YamlReader, ReadsSeveralDocuments) {
    Report report("f.yaml");
    EXPECT_EQ(read_yaml("---\na: 1\n---\nb: 2\n", report).size(), 2U);
    EXPECT_FALSE(report.has_errors());
}

TEST(YamlReader, SaysWhatItDoesNotAcceptAndWhere) {
    const struct {
        const char* text;
        const char* message;
    } cases[] = {
        {"a: 1\n@@a: 2\n", "The key `a` appears twice; the first is on line 1."},
        {"{a: 1, @@a: 2}", "The key `a` appears twice; the first is on line 1."},
        {"a: @@&x 1\n", "Anchors (`&name`) are not supported; write the value out."},
        {"a:\n  @@<<: {b: 1}\n", "Merge keys (`<<`) are not supported; write the keys out."},
        {"a: @@!!str 1\n", "Tags such as `tag:yaml.org,2002:str` are not supported."},
        {"@@[1, 2]: 3\n", "A key must be a plain word."},
        {"a: [1, 2\n@@", "This is not valid YAML: end of sequence flow not found."},
        {"a: \"x\n@@", "This is not valid YAML: a quoted text above is not closed."},
        {"@@, a: 1\n", "This is not valid YAML: nothing can start here."},
        {"a: 1\n@@}\n", "This is not valid YAML: illegal flow end."},
        {"a: 'x", "This is not valid YAML: a quoted text above is not closed."},
        {"a: 'x\nb: 3\n\n@@", "This is not valid YAML: a quoted text above is not closed."},
        {"a: 1\nb: 2@@\x04\nc: 3\n", "The file contains a control character."},
    };
    for (const auto& [marked, message] : cases) {
        const auto [text, line, column] = unmark(marked);
        Report report("f.yaml");
        read_yaml(text, report);
        const auto problems = report.take();
        ASSERT_EQ(problems.size(), 1U) << text << dump(problems);
        EXPECT_EQ(problems[0].message, message);
        if (line > 0) {
            EXPECT_EQ(problems[0].line, line) << text << dump(problems);
            EXPECT_EQ(problems[0].column, column) << text << dump(problems);
        }
    }
}

TEST(YamlReader, LeavesRefusedKeysOut) {
    Report report("f.yaml");
    const auto documents = read_yaml("a: 1\na: 2\n<<: {b: 1}\nc: 3\n", report);
    ASSERT_EQ(documents.size(), 1U);
    ASSERT_EQ(documents[0].entries.size(), 2U);
    EXPECT_EQ(documents[0].find("a")->value.scalar, "1");
    EXPECT_EQ(documents[0].find("c")->value.scalar, "3");
}

TEST(YamlReader, RefusesAliases) {
    Report report("f.yaml");
    read_yaml("a: &x 1\nb: *x\n", report);
    const auto problems = report.take();
    ASSERT_EQ(problems.size(), 2U);
    EXPECT_EQ(problems[1].line, 2);
    EXPECT_EQ(problems[1].column, 4);
    EXPECT_THAT(problems[1].message, testing::HasSubstr("Aliases"));
}

TEST(YamlReader, BoundsSizeDepthAndCount) {
    const struct {
        std::string text;
        const char* message;
    } cases[] = {
        {std::string(kMaxYamlBytes + 1, ' '), "the limit is 1048576"},
        {std::string(kMaxYamlDepth + 1, '['), "nested deeper than 64 levels"},
        {std::string(100'000, '['), "nested deeper than 64 levels"},
        {"[" + std::string(kMaxYamlNodes + 1, ',') + "]", "more than 1000000 values"},
    };
    for (const auto& [text, message] : cases) {
        Report report("f.yaml");
        EXPECT_TRUE(read_yaml(text, report).empty());
        const auto problems = report.take();
        ASSERT_EQ(problems.size(), 1U);
        EXPECT_THAT(problems[0].message, testing::HasSubstr(message));
    }
}

}  // namespace
}  // namespace millrace::config
