#include "bench/load/options.hpp"

#include <charconv>

#include <CLI/CLI.hpp>

namespace millrace::load {
namespace {

void define_modes(CLI::App& app, Options& o) {
    app.add_option("-c,--connections", o.connections,
                   "closed loop: connections in use; open loop: at most; abort: at a time")
        ->check(CLI::Range(1, 20'000))
        ->capture_default_str();
    app.add_option("--rate", o.rate, "open loop at this many requests per second")
        ->check(CLI::PositiveNumber);
    app.add_option("--streams", o.streams, "this many concurrent SSE streams")
        ->check(CLI::PositiveNumber);
    app.add_flag("--once", o.once, "each stream runs once instead of for a window");
    app.add_option("--idle", o.idle, "hold this many idle keep-alive connections")
        ->check(CLI::PositiveNumber);
    app.add_option("--hold", o.hold, "idle: for so many seconds (default: until SIGTERM)");
    app.add_option("--abort-after", o.abort_after_ms,
                   "abort --requests streams after U(0, this) milliseconds")
        ->check(CLI::PositiveNumber);
    app.add_option("--requests", o.requests,
                   "closed loop: exactly so many and no window; abort: how many");
}

void define_window(CLI::App& app, Options& o) {
    app.add_option("--warmup", o.warmup, "seconds before the window")->capture_default_str();
    app.add_option("--duration", o.duration, "seconds of the window")->capture_default_str();
    app.add_option("--timeout", o.timeout, "seconds for what still runs behind the window")
        ->capture_default_str();
    app.add_option("--watch", o.watch, "processes whose CPU time is measured")->delimiter(',');
    app.add_option("--record", o.record, "streams, abort: one line per request into this file");
    app.add_option("--seed", o.seed, "of the abort times")->capture_default_str();
}

void define_request(CLI::App& app, Options& o) {
    app.add_option("--model", o.model)->capture_default_str();
    app.add_option("--body-bytes", o.body_bytes, "length of the request's body")
        ->capture_default_str();
    app.add_flag("--model-first", o.model_first, "the model is the body's first key, not the last");
    app.add_flag("--model-header", o.model_header, "also send x-model-id");
    app.add_option("--tokens", o.tokens, "tokens of a stream")->capture_default_str();
    app.add_option("--inter-token-ms", o.inter_token_ms, "between them")->capture_default_str();
    app.add_option("--ttft-ms", o.ttft_ms, "before the first one")->capture_default_str();
    app.add_option("--header", o.headers, "further header line, repeatable");
    app.add_option("--id-prefix", o.id_prefix, "send x-request-id: PREFIX-NUMBER");
    app.add_option("--sticky-header", o.sticky_header, "send this header with a key");
    app.add_option("--sticky-keys", o.sticky_keys, "how many keys");
    app.add_option("--sources", o.sources, "connect from 127.0.0.2 to 127.0.0.(n+1)")
        ->check(CLI::Range(0, 253));
}

std::string split_target(const std::string& target, Options& options) {
    const std::size_t colon = target.rfind(':');
    if (colon == std::string::npos) {
        return "--target needs HOST:PORT.\n";
    }
    options.host = target.substr(0, colon);
    const char* const end = target.data() + target.size();
    const auto parsed = std::from_chars(target.data() + colon + 1, end, options.port);
    return parsed.ec == std::errc() && parsed.ptr == end ? "" : "The port is not a number.\n";
}

std::string choose_mode(Options& o) {
    const int chosen =
        int{o.rate > 0} + int{o.streams > 0} + int{o.idle > 0} + int{o.abort_after_ms > 0};
    if (chosen > 1) {
        return "--rate, --streams, --idle and --abort-after exclude each other.\n";
    }
    if (o.abort_after_ms > 0 && o.requests == 0) {
        return "--abort-after needs --requests.\n";
    }
    if ((o.sticky_keys > 0) != !o.sticky_header.empty()) {
        return "--sticky-header and --sticky-keys belong together.\n";
    }
    o.mode = o.rate > 0             ? Mode::open
             : o.streams > 0        ? Mode::streams
             : o.idle > 0           ? Mode::idle
             : o.abort_after_ms > 0 ? Mode::abort
                                    : Mode::closed;
    return "";
}

}  // namespace

CommandLine parse_command_line(int argc, const char* const* argv) {
    CommandLine line;
    CLI::App app(
        "millrace-load: HTTP/1.1 load for gateways, measured in their own CPU time.\n"
        "Without --rate, --streams, --idle or --abort-after: a closed loop.");
    std::string target;
    app.add_option("--target", target, "HOST:PORT")->required();
    define_modes(app, line.options);
    define_window(app, line.options);
    define_request(app, line.options);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        const bool help = error.get_exit_code() == 0;
        line.exit_code = help ? 0 : 2;
        line.output = help ? app.help() : std::string(error.what()) + "\n";
        return line;
    }
    line.output = split_target(target, line.options);
    if (line.output.empty()) {
        line.output = choose_mode(line.options);
    }
    if (!line.output.empty()) {
        line.exit_code = 2;
    }
    return line;
}

}  // namespace millrace::load
