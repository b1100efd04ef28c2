// `millrace rollout`: shows the rollout of a model in a running gateway, or orders it about.
// Thread-safety: free functions without state.
#pragma once

#include <iosfwd>
#include <string>
#include <string_view>

#include "gateway/commands/admin_client.hpp"

namespace millrace::gateway {

struct RolloutOptions {
    std::string model;             ///< id of `models`
    std::string order = "status";  ///< or start, pause, resume, promote, abort
    std::string admin = kAdminDefault;
    std::string token_file;  ///< empty = no token
    bool json = false;
};

bool is_rollout_order(std::string_view word);

/// Prints where the rollout stands (after an order: then), as a sentence or as JSON. kExitClean.
/// kExitRuntimeFailure: the gateway refused or could not be reached, or the model has no rollout.
/// kExitConfiguration: the options are wrong.
int run_rollout(const RolloutOptions& options, const AdminExchange& exchange, std::ostream& out,
                std::ostream& err);

/// With the real network.
int run_rollout(const RolloutOptions& options, std::ostream& out, std::ostream& err);

}  // namespace millrace::gateway
