// `millrace drain`: asks a running gateway to take no new requests, and waits until the running
// ones are done.
//
// It is the preStop hook of the gateway's pod (`exec: [millrace, drain]`): Kubernetes sends SIGTERM
// only when it returns. Thread-safety: free function without state.
#pragma once

#include <functional>
#include <iosfwd>
#include <string>

#include "config/base/clock.hpp"
#include "gateway/commands/admin_client.hpp"

namespace millrace::gateway {

struct DrainOptions {
    std::string admin = kAdminDefault;
    std::string token_file;  ///< empty = no token
    Duration timeout = std::chrono::seconds(600);
    bool wait = true;       ///< false: return as soon as the gateway has agreed
    bool progress = false;  ///< print the counts when they change; for terminals
};

/// The world outside, so that tests need neither sockets nor time.
struct DrainPorts {
    AdminExchange exchange = http_exchange;
    const Clock* clock = nullptr;         ///< never null when used
    std::function<void(Duration)> pause;  ///< sleeps
};

/// kExitClean: nothing is left. kExitDrainDeadline: something is, at the deadline.
/// kExitRuntimeFailure: the gateway refused or could not be reached. kExitConfiguration: the
/// options are wrong.
int run_drain(const DrainOptions& options, const DrainPorts& ports, std::ostream& out,
              std::ostream& err);

/// With the real network, clock and sleep.
int run_drain(const DrainOptions& options, std::ostream& out, std::ostream& err);

}  // namespace millrace::gateway
