#include "bench/vllm_sim/log.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace millrace::vllm_sim {
namespace {

TEST(Log, CountsOnlyTokensThatLieCompletelyWithinTheWrittenBytes) {
    LogRecord record;
    record.marks = {{1, 100}, {2, 150}, {4, 220}};
    const auto with = [&](std::uint64_t bytes) {
        record.bytes_written = bytes;
        return tokens_written(record);
    };
    EXPECT_EQ(with(0), 0U);
    EXPECT_EQ(with(99), 0U);
    EXPECT_EQ(with(100), 1U);
    EXPECT_EQ(with(219), 2U);
    EXPECT_EQ(with(1000), 4U);
    record.marks.clear();
    EXPECT_EQ(with(1000), 0U);
}

TEST(Log, WritesOneJsonObjectPerLine) {
    LogRecord record;
    record.id = "a\"b\n";
    record.model = "m";
    record.path = "/v1/completions";
    record.tokens = 3;
    record.marks = {{1, 100}, {3, 160}};
    record.bytes_written = 120;
    record.end = "aborted_by_client";
    record.started = Instant(std::chrono::milliseconds(1500));
    std::string line;
    append_line(line, record);
    ASSERT_EQ(line.find('\n'), line.size() - 1);
    const auto json = nlohmann::json::parse(line);
    EXPECT_EQ(json["id"], "a\"b\n");
    EXPECT_EQ(json["tokens"], 3);
    EXPECT_EQ(json["tokens_written"], 1);
    EXPECT_EQ(json["bytes_written"], 120);
    EXPECT_EQ(json["end"], "aborted_by_client");
    EXPECT_EQ(json["marks"], nlohmann::json::parse("[[1,100],[3,160]]"));
    EXPECT_EQ(json["started"], 1.5);
}

}  // namespace
}  // namespace millrace::vllm_sim
