// The `millrace` binary. Everything is wired in gateway/app; commands are in gateway/commands.
#include <exception>
#include <iostream>

#include "gateway/commands/cli.hpp"
#include "gateway/commands/exit_code.hpp"

int main(int argc, char** argv) {
    using namespace millrace::gateway;
    try {
        return run_cli(argc, argv, std::cout, std::cerr, run_serve);
    } catch (const std::exception& bug) {
        std::cerr << "millrace: " << bug.what() << '\n';
        return kExitRuntimeFailure;
    }
}
