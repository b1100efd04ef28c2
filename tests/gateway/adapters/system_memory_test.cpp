#include "gateway/adapters/system_memory.hpp"

#include <gtest/gtest.h>

#include <map>

namespace millrace::gateway {
namespace {

using Files = std::map<std::string, std::string>;

SystemMemory find(const Files& files) {
    return find_system_memory([&](const std::string& path) -> std::optional<std::string> {
        const auto file = files.find(path);
        return file == files.end() ? std::nullopt : std::optional(file->second);
    });
}

const std::string kMeminfo = "MemTotal:       16384000 kB\nMemFree:   1 kB\n";
constexpr std::uint64_t kMachine = 16384000ULL * 1024;

struct Case {
    const char* name;
    Files files;
    std::uint64_t bytes;
    const char* source;
};

TEST(SystemMemory, IsTheTightestLimitThatAppliesToTheProcess) {
    const Case cases[] = {
        {"machine only", {{"/proc/meminfo", kMeminfo}}, kMachine, "/proc/meminfo"},
        {"v2 in a container",
         {{"/proc/meminfo", kMeminfo},
          {"/proc/self/cgroup", "0::/\n"},
          {"/sys/fs/cgroup/memory.max", "536870912\n"}},
         536870912,
         "/sys/fs/cgroup/memory.max"},
        {"v2 without a limit",
         {{"/proc/meminfo", kMeminfo},
          {"/proc/self/cgroup", "0::/a\n"},
          {"/sys/fs/cgroup/a/memory.max", "max\n"}},
         kMachine,
         "/proc/meminfo"},
        {"v2, a parent is tighter",
         {{"/proc/meminfo", kMeminfo},
          {"/proc/self/cgroup", "0::/pods/pod1\n"},
          {"/sys/fs/cgroup/pods/pod1/memory.max", "2000000\n"},
          {"/sys/fs/cgroup/pods/memory.max", "1000000\n"}},
         1000000,
         "/sys/fs/cgroup/pods/memory.max"},
        {"v1 among other controllers",
         {{"/proc/meminfo", kMeminfo},
          {"/proc/self/cgroup", "5:cpu,memory:/x\n4:memoryless:/y\n0::/z\n"},
          {"/sys/fs/cgroup/memory/x/memory.limit_in_bytes", "3000000\n"},
          {"/sys/fs/cgroup/memory/y/memory.limit_in_bytes", "1\n"}},
         3000000,
         "/sys/fs/cgroup/memory/x/memory.limit_in_bytes"},
        {"v1 in a container that sees the host's path",
         {{"/proc/meminfo", kMeminfo},
          {"/proc/self/cgroup", "4:memory:/kubepods/pod/abc\n"},
          {"/sys/fs/cgroup/memory/memory.limit_in_bytes", "4000000\n"}},
         4000000,
         "/sys/fs/cgroup/memory/memory.limit_in_bytes"},
        {"v1 without a limit",
         {{"/proc/meminfo", kMeminfo},
          {"/proc/self/cgroup", "4:memory:/\n"},
          {"/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"}},
         kMachine,
         "/proc/meminfo"},
        {"limit without meminfo",
         {{"/proc/self/cgroup", "0::/\n"}, {"/sys/fs/cgroup/memory.max", "5\n"}},
         5,
         "/sys/fs/cgroup/memory.max"},
        {"broken lines",
         {{"/proc/meminfo", kMeminfo}, {"/proc/self/cgroup", "\n:\nx\n0::relative\n::"}},
         kMachine,
         "/proc/meminfo"},
        {"nothing at all", {}, 0, ""},
    };
    for (const auto& c : cases) {
        const auto memory = find(c.files);
        EXPECT_EQ(memory.bytes, c.bytes) << c.name;
        EXPECT_EQ(memory.source, c.source) << c.name;
    }
}

TEST(SystemMemory, OfThisProcessIsFound) {
    const auto memory = find_system_memory();
    EXPECT_GT(memory.bytes, 1024U * 1024U);
    EXPECT_FALSE(memory.source.empty());
}

}  // namespace
}  // namespace millrace::gateway
