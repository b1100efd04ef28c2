// What the simulator serves and how fast. Defaults give the fast mode: no batch model, every answer
// at once. Thread-safety: plain values, fixed at start.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bench/vllm_sim/faults.hpp"
#include "bench/vllm_sim/model.hpp"
#include "config/base/clock.hpp"
#include "config/base/error.hpp"

namespace millrace::vllm_sim {

struct Options {
    std::string address = "127.0.0.1";
    std::uint16_t port = 8000;  ///< 0: the kernel chooses
    std::string port_file;
    std::vector<std::string> models = {
        "sim"};  ///< served names; the first is the label of /metrics
    bool any_model = false;
    unsigned threads = 1;

    bool batch = false;  ///< iterations of a BatchModel instead of answering at once
    Limits limits;
    Cost cost;
    std::size_t prefix_cache_blocks = 0;

    std::uint32_t tokens = 16;  ///< output tokens per choice unless the request says otherwise
    std::optional<std::uint32_t> response_bytes;  ///< instead: exact text length
    std::uint64_t seed = 1;
    std::uint32_t max_model_len = 1U << 20U;

    bool force_include_usage = false;
    bool refuse_continuous_usage = false;
    bool refuse_continuation = false;
    bool null_usage = false;
    bool prompt_details = true;
    bool old_metrics = false;
    bool request_id_headers = false;
    std::string version = "0.11.0";

    Fault fault;
    std::uint32_t fault_every = 1;
    std::optional<std::pair<Duration, Duration>>
        idle_close;  ///< keep-alive closed after U(a, b) of silence
    std::string log;
    double shutdown_timeout = 0;  ///< seconds; 0: SIGTERM ends at once
};

/// What the command line asked for: options, or the exit code and the text to print first (help,
/// errors).
struct CommandLine {
    Options options;
    std::optional<int> exit_code;
    std::string output;
    std::string notice;  ///< what was fitted, for stderr
};

CommandLine parse_command_line(int argc, const char* const* argv);

}  // namespace millrace::vllm_sim
