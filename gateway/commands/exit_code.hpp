// What the process tells its caller when it ends. Thread-safety: constants.
#pragma once

namespace millrace::gateway {

constexpr int kExitClean = 0;
constexpr int kExitRuntimeFailure = 1;
constexpr int kExitConfiguration = 2;  ///< also a wrong command line
constexpr int kExitDrainDeadline = 3;

}  // namespace millrace::gateway
