// What the kernel says about a process: memory, processor time, descriptors. Thread-safety: pure
// reads of /proc.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string_view>

#include "tests/support/deadline.hpp"

namespace millrace::test {

/// Value in KiB of a line of /proc/PID/status, e.g. `VmRSS:` (resident now) or `VmHWM:` (at most
/// so far); 0 when there is none.
std::size_t status_kib(pid_t pid, std::string_view name);

/// KiB by which memory may grow without anybody holding on to it. A sanitizer keeps what was freed,
/// and its shadow.
constexpr std::size_t kMemoryMargin = kSlowdown == 1 ? 4 * 1024 : 64 * 1024;

/// User and system time that a process has used.
Millis cpu_time(pid_t pid);

/// Open file descriptors.
std::size_t open_descriptors(pid_t pid);

}  // namespace millrace::test
