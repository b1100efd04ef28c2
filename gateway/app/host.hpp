// What the process takes from, and asks of, the system that it runs on. Thread-safety:
// prepare_process() before threads start; the rest any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "config/load.hpp"

namespace millrace::gateway {

/// Once: a closed connection is no signal, as many descriptors as the system lets us have, and a
/// heap that serves bodies without a mapping each.
void prepare_process();

/// As configured, or one per processor.
std::size_t count_workers(const config::Process& process);

/// Bytes of request bodies in memory: as configured, or a quarter of what the system has for us.
std::uint64_t byte_budget(const config::Limits& limits);

/// The pod's namespace, or `default` outside of Kubernetes.
std::string own_namespace(const config::Sources& sources);

std::uint64_t random_word();

}  // namespace millrace::gateway
