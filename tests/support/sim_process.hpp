// The simulated vLLM backend on a free port, with its log. Thread-safety: const members may be
// called from any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/support/metrics_text.hpp"
#include "tests/support/process.hpp"
#include "tests/support/socket.hpp"
#include "tests/support/temp_dir.hpp"

namespace millrace::test {

class SimProcess {
public:
    /// `arguments` are added to address, model and log. Throws when it does not become healthy.
    explicit SimProcess(std::string model = "m1", std::vector<std::string> arguments = {},
                        std::uint16_t port = free_port());

    std::uint16_t port() const { return port_; }
    std::string url() const;
    const Process& process() const { return *process_; }
    void signal(int number) const { process_->signal(number); }
    std::optional<int> wait(Millis limit = kPatience) { return process_->wait(limit); }
    MetricsText metrics() const;
    /// One line per request that has ended.
    std::vector<nlohmann::json> log() const;
    bool wait_for_log(std::size_t lines, Millis limit = kPatience) const;
    std::string errors() const { return read_file(directory_.path() / "stderr"); }

private:
    TempDir directory_;
    std::uint16_t port_ = 0;
    std::unique_ptr<Process> process_;
};

}  // namespace millrace::test
