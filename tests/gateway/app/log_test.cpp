#include "gateway/app/log.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace millrace::gateway {
namespace {

class LogTest : public testing::Test {
protected:
    void TearDown() override { set_log_level(config::LogLevel::info); }

    /// What `write` put on stderr.
    template <class Write>
    static std::string written(Write write) {
        testing::internal::CaptureStderr();
        write();
        return testing::internal::GetCapturedStderr();
    }
};

TEST_F(LogTest, WritesOneLineWithTimeLevelAndMessage) {
    const auto line = written([] { log_warning("backend `a` has no address"); });
    // 2026-01-02T03:04:05.678Z warning backend …
    ASSERT_GT(line.size(), 25U);
    EXPECT_EQ(line.substr(4, 1) + line.substr(10, 1) + line.substr(23, 2), "-TZ ");
    EXPECT_EQ(line.substr(25), "warning backend `a` has no address\n");
}

TEST_F(LogTest, KeepsAnEventOnOneLineWhateverItsTextHolds) {
    const auto line = written([] { log_error("a\nb\r\x1b[31mc\td\x7f"); });
    EXPECT_EQ(std::ranges::count(line, '\n'), 1);
    EXPECT_TRUE(line.ends_with("error a b  [31mc d \n")) << line;
}

TEST_F(LogTest, DoesNotTakeAMessageForAFormat) {
    EXPECT_TRUE(written([] { log_info("{} %s {0}"); }).ends_with("info {} %s {0}\n"));
}

TEST_F(LogTest, LeavesOutWhatIsBelowTheLevel) {
    using config::LogLevel;
    const LogLevel levels[] = {LogLevel::debug, LogLevel::info, LogLevel::warning, LogLevel::error};
    for (const auto level : levels) {
        set_log_level(level);
        for (const auto event : levels) {
            const auto text = written([event] { log(event, "x"); });
            EXPECT_EQ(!text.empty(), event >= level)
                << static_cast<int>(event) << " at " << static_cast<int>(level);
        }
    }
}

TEST_F(LogTest, KeepsTextBeyondAscii) {
    EXPECT_TRUE(written([] { log_info("größe 模型"); }).ends_with("größe 模型\n"));
}

}  // namespace
}  // namespace millrace::gateway
