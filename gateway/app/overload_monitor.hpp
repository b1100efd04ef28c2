// OverloadMonitor: looks at the process ten times a second and moves the overload ladder
// (routing/overload), which the data path reads.
//
// A look reads one atomic per signal and worker, and a limit; what it reads comes from the app.
// Thread-safety: none; control thread. The ladder's actions() is any thread's.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "config/base/clock.hpp"
#include "routing/overload.hpp"

namespace millrace::gateway {

/// What is used, and of how much; a limit of 0 = none.
struct OverloadReading {
    std::uint64_t bytes = 0;
    std::uint64_t byte_limit = 0;
    std::uint64_t connections = 0;
    std::uint64_t connection_limit = 0;
    std::uint64_t descriptors = 0;
    std::uint64_t descriptor_limit = 0;
    Duration loop_lag{};  ///< of the latest of the workers
    Duration loop_lag_limit{};
};

/// One line for the log: the steps, and what is used of the resource that led there.
std::string describe(const routing::OverloadLadder::Change& change, const OverloadReading& reading);

class OverloadMonitor {
public:
    using Change = routing::OverloadLadder::Change;

    OverloadMonitor(routing::OverloadLadder& ladder, std::function<OverloadReading()> read,
                    std::function<void(const Change&, const OverloadReading&)> changed)
        : ladder_(ladder), read_(std::move(read)), changed_(std::move(changed)) {}
    OverloadMonitor(const OverloadMonitor&) = delete;
    OverloadMonitor& operator=(const OverloadMonitor&) = delete;

    /// Looks every 100 ms for as long as `loop` runs; `loop` and `clock` outlive it.
    void start(boost::asio::io_context& loop, const Clock& clock);
    /// One look.
    void look(Instant now);

private:
    void wait(const Clock& clock);

    routing::OverloadLadder& ladder_;
    std::function<OverloadReading()> read_;
    std::function<void(const Change&, const OverloadReading&)> changed_;
    routing::SustainedLag lag_;
    std::optional<boost::asio::steady_timer> timer_;
};

}  // namespace millrace::gateway
