#include "gateway/commands/serve.hpp"

#include <iostream>

#include "config/load.hpp"
#include "gateway/app/app.hpp"
#include "gateway/commands/exit_code.hpp"

namespace millrace::gateway {

int run_serve(const ServeOptions& options) {
    const auto result = config::load(options.config_file, config::system_sources());
    for (const auto& problem : result.problems) {
        std::cerr << config::to_string(problem) << '\n';
    }
    if (result.loaded == nullptr) {
        std::cerr << "millrace: " << options.config_file << " is not a usable configuration\n";
        return kExitConfiguration;
    }
    App app(options.config_file, result.loaded);
    if (const auto started = app.start(); !started) {
        std::cerr << "millrace: " << started.error().detail << '\n';
        return started.error().origin == Origin::policy ? kExitConfiguration : kExitRuntimeFailure;
    }
    return app.run();
}

}  // namespace millrace::gateway
