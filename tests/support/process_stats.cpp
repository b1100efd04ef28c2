#include "tests/support/process_stats.hpp"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

namespace millrace::test {

namespace {

std::string proc(pid_t pid, std::string_view file) {
    return "/proc/" + std::to_string(pid) + '/' + std::string(file);
}

}  // namespace

std::size_t status_kib(pid_t pid, std::string_view name) {
    std::ifstream status(proc(pid, "status"));
    std::size_t value = 0;
    for (std::string word; status >> word;) {
        if (word == name) {
            status >> value;
            break;
        }
    }
    return value;
}

Millis cpu_time(pid_t pid) {
    std::ifstream file(proc(pid, "stat"));
    std::string text;
    std::getline(file, text);
    // The name in parentheses may hold anything; utime and stime are fields 14 and 15.
    std::istringstream fields(text.substr(text.rfind(')') + 2));
    std::string skipped;
    for (int i = 3; i < 14; ++i) {
        fields >> skipped;
    }
    long user = 0;
    long system = 0;
    fields >> user >> system;
    return Millis((user + system) * 1000 / ::sysconf(_SC_CLK_TCK));
}

std::size_t open_descriptors(pid_t pid) {
    const std::filesystem::directory_iterator all(proc(pid, "fd"));
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

}  // namespace millrace::test
