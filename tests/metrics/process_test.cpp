#include "metrics/process.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/metrics/exposition.hpp"

namespace millrace::metrics {
namespace {

constexpr std::string_view kStat =
    "4242 (mill) race) S 1 4242 4242 0 -1 4194560 1500 0 3 0 250 50 0 0 20 0 7 0 12345 222334976 "
    "2048 18446744073709551615 1 1 0 0 0 0 0 4096 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n";

TEST(Process, ReadsTheStatLineWhateverTheCommandIsCalled) {
    EXPECT_EQ(parse_process_stat(kStat),
              (ProcessStat{.cpu_ticks = 300, .start_ticks = 12345, .resident_pages = 2048}));
    for (const char* bad :
         {"", "4242", "4242 (x)", "4242 (x) S 1 2", "4242 (x) S a b c d e f g h i j k l"}) {
        EXPECT_EQ(parse_process_stat(bad), std::nullopt) << bad;
    }
}

TEST(Process, ReadsTheBootTime) {
    EXPECT_EQ(parse_boot_time("cpu  1 2 3\nctxt 5\nbtime 1700000000\nprocesses 9\n"), 1700000000U);
    EXPECT_EQ(parse_boot_time("cpu 1\n"), std::nullopt);
}

TEST(Process, ShowsItsSeriesAndAGapWhereNothingCanBeRead) {
    Registry registry(1);
    bool readable = true;
    const auto handles = register_process_gauges(
        registry, {.read =
                       [&](const char* path) {
                           if (!readable) {
                               return std::string();
                           }
                           return std::string(std::string_view(path) == "/proc/self/stat"
                                                  ? kStat
                                                  : "cpu 1\nbtime 1700000000\n");
                       },
                   .open_files = [] { return 12.0; },
                   .page_bytes = 4096,
                   .ticks_per_second = 100});
    EXPECT_EQ(testing::value_of(registry, "process_open_fds"), 12);
    EXPECT_EQ(testing::value_of(registry, "process_resident_memory_bytes"), 2048 * 4096);
    EXPECT_EQ(testing::value_of(registry, "process_cpu_seconds_total"), 3);
    EXPECT_EQ(testing::value_of(registry, "process_start_time_seconds"), 1700000123.45);
    readable = false;
    EXPECT_TRUE(
        std::isnan(testing::value_of(registry, "process_resident_memory_bytes").value_or(0)));
}

}  // namespace
}  // namespace millrace::metrics
