#include "tests/support/process.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <stdexcept>

#include "tests/support/temp_dir.hpp"

namespace millrace::test {

namespace {

int exit_code(int status) {
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::vector<std::string> merged_environment(const Process::Options& options) {
    std::vector<std::string> result;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        // A child that is a test binary's subject must not write a test report.
        if (!std::string_view(*entry).starts_with("GTEST_")) {
            result.emplace_back(*entry);
        }
    }
    for (const auto& [name, value] : options.environment) {
        result.push_back(name + '=' + value);
    }
    return result;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
    std::vector<char*> result;
    for (auto& text : strings) {
        result.push_back(text.data());
    }
    result.push_back(nullptr);
    return result;
}

}  // namespace

Process::Process(const Options& options) {
    auto arguments = options.command;
    auto environment = merged_environment(options);
    const auto path_of = [](const std::filesystem::path& path) {
        return path.empty() ? std::string("/dev/null") : path.string();
    };
    const auto output = path_of(options.output);
    const auto errors = path_of(options.errors);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    constexpr int kFlags = O_WRONLY | O_CREAT | O_APPEND;
    ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_addopen(&actions, 1, output.c_str(), kFlags, 0600);
    if (output == errors && output != "/dev/null") {
        ::posix_spawn_file_actions_adddup2(&actions, 1, 2);
    } else {
        ::posix_spawn_file_actions_addopen(&actions, 2, errors.c_str(), kFlags, 0600);
    }
    const int failed = ::posix_spawnp(&pid_, arguments.front().c_str(), &actions, nullptr,
                                      pointers(arguments).data(), pointers(environment).data());
    ::posix_spawn_file_actions_destroy(&actions);
    if (failed != 0) {
        throw std::runtime_error("cannot start " + options.command.front());
    }
}

Process::~Process() {
    if (running()) {
        signal(SIGKILL);
        wait(10s);
    }
}

void Process::signal(int number) const {
    if (!exit_) {
        ::kill(pid_, number);
    }
}

bool Process::running() {
    return !wait(0ms);
}

std::optional<int> Process::wait(Millis limit) {
    eventually(
        [this] {
            int status = 0;
            if (!exit_ && ::waitpid(pid_, &status, WNOHANG) == pid_) {
                exit_ = exit_code(status);
            }
            return exit_.has_value();
        },
        limit);
    return exit_;
}

Ran run(const std::vector<std::string>& command, Millis limit) {
    const TempDir directory;
    const auto file = directory.path() / "output";
    Process process({.command = command, .output = file, .errors = file});
    const auto code = process.wait(limit);
    if (!code) {
        throw std::runtime_error(command.front() + " did not end in time");
    }
    return {*code, read_file(file)};
}

std::string program(std::string_view name) {
    const char* directory = std::getenv("MILLRACE_BIN_DIR");
    return std::string(directory != nullptr ? directory : MILLRACE_BUILD_BIN_DIR)
        .append("/")
        .append(name);
}

}  // namespace millrace::test
