#include "bench/vllm_sim/options.hpp"

#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>

#include "bench/vllm_sim/calibration.hpp"
#include "bench/vllm_sim/prefix_cache.hpp"
#include "bench/vllm_sim/text.hpp"

namespace millrace::vllm_sim {
namespace {

/// What the options say before they are put together.
struct Raw {
    std::vector<std::string> models;
    std::string profile;
    std::string fault;
    std::string idle_close;
    double prefill_rate = 0;
    double inter_token_ms = 0;
    bool fast = false;
};

Result<std::string> read_measurements(const std::string& path) {
    if (!path.ends_with(".xz")) {
        std::ifstream file(path, std::ios::binary);
        std::string text((std::istreambuf_iterator<char>(file)), {});
        if (!file) {
            return failure(Errc::internal, Origin::policy,
                           "The profile " + path + " cannot be read.");
        }
        return text;
    }
    if (path.contains('\'')) {
        return failure(Errc::bad_field, Origin::policy,
                       "A profile's path must not contain quotes.");
    }
    const auto close = [](std::FILE* pipe) { ::pclose(pipe); };
    const std::unique_ptr<std::FILE, decltype(close)> pipe(
        ::popen(("xz -dc -- '" + path + "'").c_str(), "r"), close);
    std::string text;
    std::array<char, 65536> chunk{};
    while (pipe) {
        const std::size_t got = std::fread(chunk.data(), 1, chunk.size(), pipe.get());
        if (got == 0) {
            break;
        }
        text.append(chunk.data(), got);
    }
    if (text.empty()) {
        return failure(Errc::internal, Origin::policy,
                       "The profile " + path + " cannot be decompressed.");
    }
    return text;
}

Result<std::string> apply_profile(const std::string& profile, Options& options) {
    const auto name = parse_profile_name(profile);
    if (!name) {
        return std::unexpected(name.error());
    }
    const auto csv = read_measurements(name->file);
    if (!csv) {
        return std::unexpected(csv.error());
    }
    const auto fitted = calibrate(*csv, *name);
    if (!fitted) {
        return std::unexpected(fitted.error());
    }
    options.cost = fitted->cost;
    std::string notice = "profile " + name->model + " on " + name->hardware + ": ";
    const auto part = [&notice](double value, int precision, std::string_view unit) {
        append_fixed(notice, value, precision);
        notice += unit;
    };
    part(fitted->cost.base_ms, 3, " ms per iteration + ");
    part(fitted->cost.per_sequence_ms, 4, " ms per sequence + ");
    part(fitted->cost.per_context_token_ms * 1000, 4, " us per context token + ");
    part(fitted->cost.per_prefill_token_ms * 1000, 3, " us per prefill token + ");
    part(fitted->cost.prefill_base_ms, 3, " ms per prefill; ");
    append(notice, fitted->rows, " rows, mean error prefill ");
    part(fitted->prefill_error * 100, 1, " %, decode ");
    part(fitted->decode_error * 100, 1, " %");
    return notice;
}

Result<void> apply_idle_close(const std::string& text, Options& options) {
    const std::size_t colon = text.find(':');
    const auto low = to_number<std::uint32_t>(std::string_view(text).substr(0, colon));
    const auto high = colon == std::string::npos
                          ? low
                          : to_number<std::uint32_t>(std::string_view(text).substr(colon + 1));
    if (!low || !high || *low > *high) {
        return failure(Errc::bad_field, Origin::policy,
                       "--idle-close-ms is A:B with A <= B, in milliseconds.");
    }
    options.idle_close = {std::chrono::milliseconds(*low), std::chrono::milliseconds(*high)};
    return {};
}

void define_service(CLI::App& app, Options& options, Raw& raw) {
    app.add_option("--address", options.address, "IPv4 address to listen on")
        ->capture_default_str();
    app.add_option("--port", options.port, "port; 0 lets the kernel choose")->capture_default_str();
    app.add_option("--port-file", options.port_file, "write the port into this file");
    app.add_option("--model", raw.models, "served model name, repeatable (default: sim)");
    app.add_flag("--any-model", options.any_model, "accept every model name");
    app.add_option("--threads", options.threads, "event loops")->check(CLI::Range(1U, 256U));
    app.add_option("--log", options.log, "append one JSON line per request to this file");
    app.add_option("--shutdown-timeout", options.shutdown_timeout,
                   "seconds that SIGTERM lets running requests finish");
    app.add_option("--version-string", options.version, "answer of /version")
        ->capture_default_str();
    app.add_flag("--old-metrics", options.old_metrics, "metric names before 2025-11");
    app.add_flag("--enable-request-id-headers", options.request_id_headers, "echo X-Request-Id");
}

void define_engine(CLI::App& app, Options& options, Raw& raw) {
    app.add_flag("--fast", raw.fast, "answer at once, no batch model (the default)");
    app.add_option("--max-num-seqs", options.limits.max_num_seqs, "sequences per batch")
        ->check(CLI::PositiveNumber);
    app.add_option("--kv-tokens", options.limits.kv_tokens, "KV cache capacity in tokens");
    app.add_option("--max-num-batched-tokens", options.limits.prefill_tokens_per_iteration,
                   "prefill tokens per iteration")
        ->check(CLI::PositiveNumber);
    app.add_option("--prefill-tokens-per-second", raw.prefill_rate, "prefill speed");
    app.add_option("--inter-token-ms", raw.inter_token_ms, "length of a decoding iteration");
    app.add_option("--profile", raw.profile,
                   "FILE:model:hardware:tp, measurements to fit (.csv or .csv.xz)");
    app.add_option("--prefix-cache-blocks", options.prefix_cache_blocks,
                   "blocks of 16 tokens (default: the KV cache in batch mode, else 0)");
    app.add_option("--max-model-len", options.max_model_len, "longest prompt in tokens")
        ->capture_default_str();
    app.add_option("--tokens", options.tokens, "output tokens per choice")->capture_default_str();
    app.add_option("--response-bytes", options.response_bytes,
                   "exact text length instead of --tokens");
    app.add_option("--seed", options.seed, "seed of the text")->capture_default_str();
}

void define_behaviour(CLI::App& app, Options& options, Raw& raw) {
    app.add_flag("--enable-force-include-usage", options.force_include_usage,
                 "usage in every stream");
    app.add_flag("--refuse-continuous-usage", options.refuse_continuous_usage,
                 "400 for stream_options.continuous_usage_stats");
    app.add_flag("--no-continue", options.refuse_continuation,
                 "400 for continue_final_message, as engines that do not know it");
    app.add_flag("--null-usage", options.null_usage,
                 "\"usage\":null in stream chunks (older vLLM)");
    app.add_flag_callback(
        "--no-prompt-tokens-details", [&options] { options.prompt_details = false; },
        "no prompt_tokens_details");
    app.add_option("--fault", raw.fault,
                   "fault of every --fault-every'th request (docs/VLLM_SIM.md)");
    app.add_option("--fault-every", options.fault_every, "see --fault")->check(CLI::PositiveNumber);
    app.add_option("--idle-close-ms", raw.idle_close,
                   "A:B, close idle keep-alive after U(A, B) ms");
}

/// Puts the raw values together; the notice about a profile, or what is wrong.
Result<std::string> complete(const CLI::App& app, const Raw& raw, Options& options) {
    if (!raw.models.empty()) {
        options.models = raw.models;
    }
    for (const char* name : {"--max-num-seqs", "--kv-tokens", "--max-num-batched-tokens",
                             "--prefill-tokens-per-second", "--inter-token-ms", "--profile"}) {
        if (app.count(name) == 0) {
            continue;
        }
        if (raw.fast) {
            return failure(Errc::bad_field, Origin::policy,
                           "--fast has no batch model, so it excludes " + std::string(name) + ".");
        }
        options.batch = true;
    }
    if (options.batch && options.threads > 1) {
        return failure(Errc::bad_field, Origin::policy, "The batch model needs --threads 1.");
    }
    std::string notice;
    if (!raw.profile.empty()) {
        auto fitted = apply_profile(raw.profile, options);
        if (!fitted) {
            return fitted;
        }
        notice = *fitted;
    }
    if (raw.prefill_rate > 0) {
        options.cost.per_prefill_token_ms = 1000 / raw.prefill_rate;
    }
    if (raw.inter_token_ms > 0) {
        options.cost.base_ms = raw.inter_token_ms;
    }
    if (options.batch && app.count("--prefix-cache-blocks") == 0) {
        options.prefix_cache_blocks = options.limits.kv_tokens / kTokensPerBlock;
    }
    const auto fault = parse_fault(raw.fault);
    if (!fault) {
        return std::unexpected(fault.error());
    }
    options.fault = *fault;
    if (!raw.idle_close.empty()) {
        if (auto applied = apply_idle_close(raw.idle_close, options); !applied) {
            return std::unexpected(applied.error());
        }
    }
    return notice;
}

}  // namespace

CommandLine parse_command_line(int argc, const char* const* argv) {
    CommandLine result;
    Raw raw;
    CLI::App app("vllm-sim: a simulated vLLM server for tests, demos and benchmarks.");
    define_service(app, result.options, raw);
    define_engine(app, result.options, raw);
    define_behaviour(app, result.options, raw);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        const bool help = error.get_exit_code() == 0;
        result.exit_code = help ? 0 : 2;
        result.output = help ? app.help() : std::string(error.what()) + "\n";
        return result;
    }
    auto completed = complete(app, raw, result.options);
    if (!completed) {
        result.exit_code = 2;
        result.output = completed.error().detail + "\n";
        return result;
    }
    result.notice = *completed;
    return result;
}

}  // namespace millrace::vllm_sim
