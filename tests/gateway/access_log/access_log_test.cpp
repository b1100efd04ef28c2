#include "gateway/access_log/access_log.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

namespace millrace::gateway {
namespace {

class AccessLogFile : public ::testing::Test {
protected:
    AccessLogFile() {
        std::string pattern =
            (std::filesystem::temp_directory_path() / "millrace-log-XXXXXX").string();
        folder_ = ::mkdtemp(pattern.data());
    }
    ~AccessLogFile() override {
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }

    std::vector<nlohmann::json> lines(const std::string& path) {
        std::ifstream file(path);
        std::vector<nlohmann::json> all;
        for (std::string line; std::getline(file, line);) {
            all.push_back(nlohmann::json::parse(line));
        }
        return all;
    }

    static metrics::RequestRecord record(int number) {
        metrics::RequestRecord record;
        record.request_id = std::to_string(number);
        record.model_name = "gpt\n[info] forged";
        record.path = "/v1/chat/completions\x1b[2K";
        return record;
    }

    std::filesystem::path folder_;
};

TEST_F(AccessLogFile, HoldsOneParsableLinePerRequestInOrder) {
    const std::string path = folder_ / "access.log";
    {
        auto log = AccessLog::open(path);
        ASSERT_TRUE(log) << log.error().detail;
        for (int i = 0; i < 200; ++i) {
            (*log)->write(record(i), WallTime{});
        }
        EXPECT_EQ((*log)->dropped(), 0U);
    }
    const auto written = lines(path);
    ASSERT_EQ(written.size(), 200U);
    for (std::size_t i = 0; i < written.size(); ++i) {
        EXPECT_EQ(written[i]["request_id"], std::to_string(i));
        EXPECT_EQ(written[i]["model"], "gpt\n[info] forged");
    }
}

TEST_F(AccessLogFile, IsAppendedTo) {
    const std::string path = folder_ / "access.log";
    for (int round = 0; round < 2; ++round) {
        auto log = AccessLog::open(path);
        ASSERT_TRUE(log);
        (*log)->write(record(round), WallTime{});
    }
    EXPECT_EQ(lines(path).size(), 2U);
}

TEST_F(AccessLogFile, TakesLinesFromManyThreads) {
    const std::string path = folder_ / "access.log";
    {
        auto log = AccessLog::open(path);
        ASSERT_TRUE(log);
        std::vector<std::jthread> writers;
        for (int w = 0; w < 3; ++w) {
            writers.emplace_back([&log, w] {
                for (int i = 0; i < 100; ++i) {
                    (*log)->write(record(w * 100 + i), WallTime{});
                }
            });
        }
    }
    EXPECT_EQ(lines(path).size(), 300U);
}

TEST_F(AccessLogFile, OverwritesTheOldestLinesAndCountsThemWhenTheReaderIsSlow) {
    // A pipe that nobody reads yet: the log's thread blocks once it is full, and the queue
    // overflows.
    const std::string path = folder_ / "pipe";
    ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
    const int reader = ::open(path.c_str(), O_RDONLY | O_NONBLOCK);
    ASSERT_GE(reader, 0);
    constexpr int kLines = 5000;
    std::string text;
    std::uint64_t dropped = 0;
    std::jthread drain;
    {
        auto log = AccessLog::open(path, 16);
        ASSERT_TRUE(log) << log.error().detail;
        for (int i = 0; i < kLines; ++i) {
            (*log)->write(record(i), WallTime{});
        }
        dropped = (*log)->dropped();
        EXPECT_GT(dropped, 0U);
        // Everything that is left comes out while the log closes.
        ASSERT_EQ(::fcntl(reader, F_SETFL, 0), 0);
        drain = std::jthread([&text, reader] {
            std::vector<char> buffer(65'536);
            for (ssize_t n = 0; (n = ::read(reader, buffer.data(), buffer.size())) > 0;) {
                text.append(buffer.data(), static_cast<std::size_t>(n));
            }
        });
    }
    drain.join();
    ::close(reader);
    const auto written = static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n'));
    EXPECT_EQ(written + dropped, kLines);
    EXPECT_NE(text.find("\"request_id\":\"" + std::to_string(kLines - 1) + "\""), std::string::npos)
        << "the newest line is kept";
}

TEST_F(AccessLogFile, CountsLinesThatADeviceRefuses) {
    if (!std::filesystem::exists("/dev/full")) {
        GTEST_SKIP() << "/dev/full does not exist here";
    }
    auto log = AccessLog::open("/dev/full", 16);
    ASSERT_TRUE(log) << log.error().detail;
    while ((*log)->dropped() ==
           0) {  // bounded by the queue: one refused or overwritten line is enough
        (*log)->write(record(1), WallTime{});
    }
    EXPECT_GT((*log)->dropped(), 0U);
}

TEST_F(AccessLogFile, SaysWhichFileCannotBeOpened) {
    const std::string path = folder_ / "access.log" / "impossible";
    std::ofstream(folder_ / "access.log") << "";
    const auto log = AccessLog::open(path);
    ASSERT_FALSE(log);
    EXPECT_NE(log.error().detail.find(path), std::string::npos);
}

}  // namespace
}  // namespace millrace::gateway
