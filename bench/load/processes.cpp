#include "bench/load/processes.hpp"

#include <sys/resource.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

namespace millrace::load {

Duration cpu_time_of(std::span<const int> processes) {
    namespace fs = std::filesystem;
    Duration sum{};
    for (const int process : processes) {
        std::error_code gone;
        const std::string tasks = "/proc/" + std::to_string(process) + "/task";
        for (fs::directory_iterator task(tasks, gone), end; !gone && task != end;
             task.increment(gone)) {
            std::ifstream file(task->path() / "schedstat");
            Duration::rep nanoseconds = 0;
            if (file >> nanoseconds) {
                sum += Duration(nanoseconds);
            }
        }
    }
    return sum;
}

Duration own_cpu_time() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto of = [](const timeval& time) {
        return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
    };
    return of(usage.ru_utime) + of(usage.ru_stime);
}

}  // namespace millrace::load
