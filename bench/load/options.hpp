// What millrace-load is asked to do. Plain values, fixed at start. Seconds and milliseconds are
// doubles because people type them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace millrace::load {

enum class Mode : std::uint8_t { closed, open, streams, idle, abort };

struct Options {
    Mode mode = Mode::closed;
    std::string host = "127.0.0.1";  ///< IPv4
    std::uint16_t port = 0;
    std::uint32_t sources = 0;  ///< connect from 127.0.0.2 ... 127.0.0.(n+1); 0: the kernel chooses

    // The window: counted from `warmup` to `warmup + duration` seconds after the start.
    double warmup = 1;
    double duration = 3;
    double timeout = 10;  ///< after the window's end, for what is still running

    std::uint32_t connections = 8;  ///< closed: in use; open: at most; abort: at a time
    double rate = 0;                ///< open: requests per second
    std::uint64_t requests = 0;     ///< closed: stop after so many, no window; abort: how many
    std::uint32_t streams = 0;
    bool once = false;  ///< each stream runs once, to its end, instead of for a window
    std::uint32_t idle = 0;
    double hold = 0;            ///< idle: seconds; 0: until SIGTERM
    double abort_after_ms = 0;  ///< abort: after U(0, this) behind the send

    // The request.
    std::string model = "sim";
    std::uint32_t body_bytes = 1024;
    bool model_first = false;
    bool model_header = false;         ///< also send x-model-id
    std::uint32_t tokens = 50;         ///< of streams
    double inter_token_ms = 20;        ///< of streams
    double ttft_ms = 0;                ///< of streams
    std::vector<std::string> headers;  ///< further lines `name: value`
    std::string id_prefix;             ///< send x-request-id: PREFIX-NUMBER
    std::string sticky_header;  ///< send this header with one of `sticky_keys` values, also in the
                                ///< request id
    std::uint32_t sticky_keys = 0;

    std::vector<int> watch;  ///< processes whose CPU time is measured over the window
    std::string record;      ///< streams and abort: one line per request into this file
    std::uint64_t seed = 1;  ///< of the abort times
};

struct CommandLine {
    Options options;
    std::optional<int> exit_code;  ///< set when there is nothing to run
    std::string output;            ///< help, or what is wrong
};

CommandLine parse_command_line(int argc, const char* const* argv);

}  // namespace millrace::load
