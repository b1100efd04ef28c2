// A child process with its output in files, signals to exactly its pid, and waits with deadlines.
// It is killed when its owner goes. Thread-safety: none.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/deadline.hpp"

namespace millrace::test {

class Process {
public:
    struct Options {
        std::vector<std::string> command{};  ///< first is the program's path
        std::filesystem::path output{};      ///< stdout; empty = discarded
        std::filesystem::path errors{};      ///< stderr; empty = discarded
        std::vector<std::pair<std::string, std::string>> environment{};  ///< added to ours
    };
    explicit Process(const Options& options);
    ~Process();
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;

    pid_t pid() const { return pid_; }
    void signal(int number) const;
    bool running();
    /// Exit code, 128 + signal when a signal ended it, nullopt when it is still running at the
    /// deadline.
    std::optional<int> wait(Millis limit = kPatience);

private:
    pid_t pid_ = -1;
    std::optional<int> exit_;
};

/// Output and exit code of a command that ends by itself; stdout and stderr together. Throws when
/// it does not end.
struct Ran {
    int code = -1;
    std::string output;
};
Ran run(const std::vector<std::string>& command, Millis limit = 60s);

/// Path of a program of this build.
std::string program(std::string_view name);

}  // namespace millrace::test
