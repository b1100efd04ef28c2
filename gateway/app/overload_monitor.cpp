#include "gateway/app/overload_monitor.hpp"

#include <chrono>

namespace millrace::gateway {
namespace {

constexpr Duration kInterval = std::chrono::milliseconds(100);

double part(std::uint64_t used, std::uint64_t limit) {
    return limit == 0 ? 0 : static_cast<double>(used) / static_cast<double>(limit);
}

std::string milliseconds(Duration time) {
    return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(time).count()) +
           " ms";
}

std::string used_of(std::uint64_t used, std::uint64_t limit, const char* what) {
    return std::to_string(used) + " of " + std::to_string(limit) + " " + what;
}

std::string usage(routing::OverloadSignal signal, const OverloadReading& reading) {
    switch (signal) {
        case routing::OverloadSignal::bytes:
            return used_of(reading.bytes, reading.byte_limit,
                           "bytes are held (limits.buffered_bytes)");
        case routing::OverloadSignal::connections:
            return used_of(reading.connections, reading.connection_limit,
                           "connections are open (listeners.data.max_connections)");
        case routing::OverloadSignal::descriptors:
            return used_of(reading.descriptors, reading.descriptor_limit,
                           "file descriptors are open (RLIMIT_NOFILE)");
        case routing::OverloadSignal::loop_lag: break;
    }
    return "an event loop is " + milliseconds(reading.loop_lag) + " late, the limit is " +
           milliseconds(reading.loop_lag_limit) + " (overload.loop_lag)";
}

}  // namespace

std::string describe(const routing::OverloadLadder::Change& change,
                     const OverloadReading& reading) {
    return "overload: was " + std::string(to_string(change.from)) + " and is " +
           std::string(to_string(change.to)) + ": " + usage(change.signal, reading);
}

void OverloadMonitor::start(boost::asio::io_context& loop, const Clock& clock) {
    timer_.emplace(loop);
    wait(clock);
}

void OverloadMonitor::wait(const Clock& clock) {
    timer_->expires_after(kInterval);
    timer_->async_wait([this, &clock](boost::system::error_code error) {
        if (!error) {
            look(clock.now());
            wait(clock);
        }
    });
}

void OverloadMonitor::look(Instant now) {
    auto reading = read_();
    reading.loop_lag = lag_.add(reading.loop_lag);
    const routing::OverloadSignals signals{
        .bytes = part(reading.bytes, reading.byte_limit),
        .connections = part(reading.connections, reading.connection_limit),
        .descriptors = part(reading.descriptors, reading.descriptor_limit),
        .loop_lag = part(static_cast<std::uint64_t>(reading.loop_lag.count()),
                         static_cast<std::uint64_t>(reading.loop_lag_limit.count()))};
    if (const auto change = ladder_.update(routing::pressure_of(signals), now)) {
        changed_(*change, reading);
    }
}

}  // namespace millrace::gateway
