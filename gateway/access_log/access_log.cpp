#include "gateway/access_log/access_log.hpp"

#include <spdlog/async.h>
#include <spdlog/async_logger.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <atomic>
#include <utility>

#include "gateway/access_log/encoder.hpp"

namespace millrace::gateway {

namespace {

spdlog::sink_ptr make_sink(const std::string& target) {
    if (target == "stdout") {
        return std::make_shared<spdlog::sinks::stdout_sink_st>();
    }
    if (target == "stderr") {
        return std::make_shared<spdlog::sinks::stderr_sink_st>();
    }
    return std::make_shared<spdlog::sinks::basic_file_sink_st>(target);
}

}  // namespace

struct AccessLog::Impl {
    Impl(const spdlog::sink_ptr& sink, std::size_t queue_lines)
        : pool(std::make_shared<spdlog::details::thread_pool>(queue_lines, 1)),
          logger(std::make_shared<spdlog::async_logger>(
              "access", sink, pool, spdlog::async_overflow_policy::overrun_oldest)) {
        logger->set_pattern("%v");
        // One flush per line, on the log's own thread: a line is readable as soon as it was
        // written.
        logger->flush_on(spdlog::level::info);
        // A full disk must not fill stderr as well; the lost lines are counted.
        logger->set_error_handler([this](const std::string&) { count_failure(); });
    }

    void count_failure() noexcept { failed.fetch_add(1, std::memory_order_relaxed); }

    std::atomic<std::uint64_t> failed{
        0};  // first, because the pool's thread counts until it is joined

    // Sinks are the single-threaded kind because only the pool's one thread calls them.
    std::shared_ptr<spdlog::details::thread_pool> pool;
    std::shared_ptr<spdlog::async_logger> logger;
};

Result<std::unique_ptr<AccessLog>> AccessLog::open(const std::string& target,
                                                   std::size_t queue_lines) {
    try {
        // The constructor is private, so make_unique cannot reach it.
        return std::unique_ptr<AccessLog>(
            new AccessLog(std::make_unique<Impl>(make_sink(target), queue_lines)));
    } catch (const std::exception& error) {
        return failure(Errc::internal, Origin::internal,
                       "The access log `" + target + "` cannot be opened: " + error.what() +
                           ". Check that the folder exists and is writable.");
    }
}

AccessLog::AccessLog(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

AccessLog::~AccessLog() = default;

void AccessLog::write(const metrics::RequestRecord& record, WallTime end) noexcept {
    // One per thread, whichever log it writes to.
    static thread_local AccessLogEncoder encoder;
    try {
        const std::string_view line = encoder.encode(record, end);
        impl_->logger->log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
    } catch (...) {  // no memory for the line; the request itself must not suffer
        impl_->count_failure();
    }
}

std::uint64_t AccessLog::dropped() const noexcept {
    return impl_->pool->overrun_counter() + impl_->failed.load(std::memory_order_relaxed);
}

}  // namespace millrace::gateway
