#include "tests/support/sim_process.hpp"

#include <algorithm>
#include <stdexcept>

#include "tests/support/json_lines.hpp"
#include "tests/support/raw_client.hpp"

namespace millrace::test {

SimProcess::SimProcess(std::string model, std::vector<std::string> arguments, std::uint16_t port)
    : port_(port) {
    std::vector<std::string> command{program("vllm-sim"),
                                     "--address",
                                     loopback(),
                                     "--port",
                                     std::to_string(port_),
                                     "--model",
                                     std::move(model),
                                     "--log",
                                     (directory_.path() / "requests.log").string()};
    command.insert(command.end(), arguments.begin(), arguments.end());
    process_ = std::make_unique<Process>(Process::Options{.command = std::move(command),
                                                          .output = directory_.path() / "stdout",
                                                          .errors = directory_.path() / "stderr"});
    const bool healthy = eventually(
        [this] { return get(port_, "/health").status() == 200 || !process_->running(); });
    if (!healthy || !process_->running()) {
        throw std::runtime_error("vllm-sim did not become healthy:\n" + errors());
    }
}

std::string SimProcess::url() const {
    return "http://" + loopback() + ':' + std::to_string(port_);
}

MetricsText SimProcess::metrics() const {
    return MetricsText(get(port_, "/metrics").body);
}

std::vector<nlohmann::json> SimProcess::log() const {
    return json_lines(read_file(directory_.path() / "requests.log"));
}

bool SimProcess::wait_for_log(std::size_t lines, Millis limit) const {
    return eventually([&] { return log().size() >= lines; }, limit, 20ms);
}

}  // namespace millrace::test
