// vllm-sim: parses the command line, runs a Server until SIGTERM or SIGINT. Exit codes: 0 clean, 1
// run-time failure, 2 command line.
#include <pthread.h>

#include <csignal>
#include <cstdio>
#include <exception>
#include <string>

#include "bench/vllm_sim/options.hpp"
#include "bench/vllm_sim/server.hpp"

namespace {

using millrace::vllm_sim::CommandLine;
using millrace::vllm_sim::Server;

/// Written to a neighbour and renamed, so that a reader never sees half of it.
bool write_port_file(const std::string& path, unsigned port) {
    const std::string part = path + ".part";
    std::FILE* const file = std::fopen(part.c_str(), "w");
    if (file == nullptr) {
        return false;
    }
    const bool written = std::fprintf(file, "%u\n", port) > 0;
    return std::fclose(file) == 0 && written && std::rename(part.c_str(), path.c_str()) == 0;
}

int run(int argc, char** argv) {
    CommandLine line = millrace::vllm_sim::parse_command_line(argc, argv);
    if (line.exit_code) {
        std::fputs(line.output.c_str(), *line.exit_code == 0 ? stdout : stderr);
        return *line.exit_code;
    }
    if (!line.notice.empty()) {
        std::fprintf(stderr, "%s\n", line.notice.c_str());
    }
    // Blocked before the loops' threads start, so that only sigwait below sees them.
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);

    const std::string address = line.options.address;
    const std::string port_file = line.options.port_file;
    Server server(std::move(line.options));
    const auto port = server.start();
    if (!port) {
        std::fprintf(stderr, "%s\n", port.error().detail.c_str());
        return 1;
    }
    if (!port_file.empty() && !write_port_file(port_file, *port)) {
        std::fprintf(stderr, "The port file %s cannot be written.\n", port_file.c_str());
        return 1;
    }
    std::printf("listening on %s:%u\n", address.c_str(), static_cast<unsigned>(*port));
    std::fflush(stdout);
    int signal = 0;
    sigwait(&signals, &signal);
    server.stop();
    server.wait();
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return run(argc, argv);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "vllm-sim: %s\n", error.what());
        return 1;
    }
}
