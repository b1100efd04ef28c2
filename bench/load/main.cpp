// millrace-load: one run, one JSON object on stdout. Exit codes: 0 without failures, 1 with, 2
// command line.
#include <cstdio>
#include <exception>

#include "bench/load/modes.hpp"

namespace {

int run(const millrace::load::Options& options) {
    using millrace::load::Mode;
    switch (options.mode) {
        case Mode::closed:
        case Mode::open: return millrace::load::run_requests(options);
        case Mode::streams: return millrace::load::run_streams(options);
        case Mode::idle: return millrace::load::run_idle(options);
        case Mode::abort: return millrace::load::run_abort_storm(options);
    }
    return 2;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        const auto line = millrace::load::parse_command_line(argc, argv);
        if (line.exit_code) {
            std::fputs(line.output.c_str(), *line.exit_code == 0 ? stdout : stderr);
            return *line.exit_code;
        }
        return run(line.options);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "millrace-load: %s\n", error.what());
        return 1;
    }
}
