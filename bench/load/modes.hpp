// The ways to load a gateway, one function each: they run to the end and return the process's exit
// code (0 without failures, 1 with). Thread-safety: none; one at a time.
#pragma once

#include "bench/load/options.hpp"

namespace millrace::load {

/// Closed loop (every connection sends as soon as it was answered) and open loop (requests at a
/// fixed rate, whatever the answers do).
int run_requests(const Options& options);

/// Concurrent SSE streams, every event checked.
int run_streams(const Options& options);

/// Idle keep-alive connections that have been used once.
int run_idle(const Options& options);

/// Streams that are left after a random time, alternately with FIN and with RST.
int run_abort_storm(const Options& options);

}  // namespace millrace::load
