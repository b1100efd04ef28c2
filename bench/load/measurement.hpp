// The window and everything counted in it. Requests, events and latencies count when they finish
// inside the window; failures count whenever they happen, because one failure makes the window
// worthless. The report is one JSON object; times in it are microseconds unless named otherwise.
// Thread-safety: none.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "bench/load/histogram.hpp"
#include "bench/load/loop.hpp"
#include "bench/load/options.hpp"

namespace millrace::load {

class Measurement {
public:
    Measurement(Loop& loop, const Options& options) : loop_(loop), options_(options) {}

    /// Opens the window after the warm-up and closes it after the duration, then calls `on_end`,
    /// and gives up `timeout` seconds later if the loop still runs.
    void schedule(std::function<void()> on_end);

    /// The same by hand, for runs that end by themselves.
    void begin();
    void end();

    bool is_open() const { return open_; }
    void fail(std::string_view why, std::uint64_t count = 1);
    std::uint64_t failures() const { return failures_; }

    /// Further numbers for the report.
    void set(std::string_view name, std::uint64_t value) { numbers_[std::string(name)] = value; }

    std::uint64_t requests = 0;  ///< finished in the window
    std::uint64_t events = 0;    ///< SSE events in the window
    Histogram latency;           ///< of requests
    Histogram first_token;       ///< of streams that were sent in the window
    Histogram gap;               ///< between two tokens of a stream

    /// Prints the report; 0, or 1 if anything failed.
    int report(std::string_view mode) const;

private:
    Loop& loop_;
    const Options& options_;
    bool open_ = false;
    Instant began_;
    Duration length_{};
    Duration watched_{};  ///< CPU time; before end() its value at begin()
    Duration own_{};
    std::uint64_t failures_ = 0;
    std::map<std::string, std::uint64_t, std::less<>> kinds_;
    std::map<std::string, std::uint64_t, std::less<>> numbers_;
};

/// `seconds` as a Duration.
Duration from_seconds(double seconds);

/// Tells the runner on stderr that what it waits for is there.
void announce(std::string_view what);

}  // namespace millrace::load
