// CPU time of other processes, from the scheduler's own nanosecond account
// (/proc/PID/task/*/schedstat), which unlike utime is not sampled by ticks. A running thread's
// account may be one tick (4 ms) behind; windows are seconds. Pure reading; thread-safe.
#pragma once

#include <span>

#include "config/base/clock.hpp"

namespace millrace::load {

/// Sum over all threads of the processes; threads that ended are not in it.
Duration cpu_time_of(std::span<const int> processes);

/// Of this process.
Duration own_cpu_time();

}  // namespace millrace::load
