#include "gateway/app/host.hpp"

#include <malloc.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <random>
#include <thread>

#include "gateway/adapters/system_memory.hpp"

namespace millrace::gateway {
namespace {

/// What the byte budget is when neither the configuration nor the system says.
constexpr std::uint64_t kFallbackBudget = std::uint64_t{1} << 30U;

void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        ::setrlimit(RLIMIT_NOFILE, &limit);
    }
}

}  // namespace

void prepare_process() {
    std::signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    // Request bodies come and go by the hundred kilobytes: served from the heap, not by a mapping
    // each.
    ::mallopt(M_MMAP_THRESHOLD, 64 * 1024 * 1024);
    ::mallopt(M_TRIM_THRESHOLD, 64 * 1024 * 1024);
}

std::size_t count_workers(const config::Process& process) {
    return process.workers > 0 ? process.workers
                               : std::max<std::size_t>(1, std::thread::hardware_concurrency());
}

std::uint64_t byte_budget(const config::Limits& limits) {
    if (limits.buffered_bytes > 0) {
        return limits.buffered_bytes;
    }
    const auto memory = find_system_memory();
    return memory.bytes > 0 ? memory.bytes / 4 : kFallbackBudget;
}

std::string own_namespace(const config::Sources& sources) {
    if (const auto named = sources.environment("POD_NAMESPACE"); named && !named->empty()) {
        return *named;
    }
    const auto mounted =
        sources.read_file("/var/run/secrets/kubernetes.io/serviceaccount/namespace");
    return mounted && !mounted->empty() ? *mounted : "default";
}

std::uint64_t random_word() {
    std::random_device entropy;
    return (std::uint64_t{entropy()} << 32U) | entropy();
}

}  // namespace millrace::gateway
