// `millrace serve -c FILE`: runs the gateway until a signal ends it. Thread-safety: called once,
// from main.
#pragma once

#include <string>

namespace millrace::gateway {

struct ServeOptions {
    std::string config_file;
};

/// Returns an exit code of commands/exit_code.hpp.
int run_serve(const ServeOptions& options);

}  // namespace millrace::gateway
