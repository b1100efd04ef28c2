#include "gateway/commands/cli.hpp"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>

#include "config/syntax.hpp"
#include "gateway/commands/check.hpp"
#include "gateway/commands/drain.hpp"
#include "gateway/commands/exit_code.hpp"
#include "gateway/commands/explain.hpp"
#include "gateway/commands/keys.hpp"
#include "gateway/commands/rollout.hpp"
#include "gateway/commands/schema.hpp"
#include "gateway/commands/version.hpp"

namespace millrace::gateway {
namespace {

/// The parsed command line, and which command it chose.
struct Invocation {
    std::ostream& out;
    std::ostream& err;
    std::function<int()> run;  ///< set by the callback of the chosen command
};

std::string check_duration(const std::string& text) {
    return config::parse_duration(text) ? "" : "`" + text + "` is not a duration such as 30s or 5m";
}

void add_pepper(CLI::App& command, PepperSource& pepper) {
    auto* group = command.add_option_group("pepper", "The pepper that the key file was made with");
    group->add_option("--pepper-file", pepper.file, "File that holds the pepper");
    group->add_option("--pepper-env", pepper.environment,
                      "Name of the environment variable that holds the pepper");
    group->require_option(1);
}

void declare_serve(CLI::App& app, Invocation& invocation, ServeOptions& options,
                   const std::function<int(const ServeOptions&)>& serve) {
    auto* command = app.add_subcommand("serve", "Run the gateway");
    command->add_option("-c,--config", options.config_file, "Configuration document")->required();
    command->callback([&] { invocation.run = [&] { return serve(options); }; });
}

void declare_check(CLI::App& app, Invocation& invocation, std::string& file) {
    auto* command = app.add_subcommand("check", "Find every problem of a configuration");
    command->add_option("file", file, "Configuration document")->required();
    command->callback(
        [&] { invocation.run = [&] { return run_check(file, invocation.out, invocation.err); }; });
}

void declare_schema(CLI::App& app, Invocation& invocation, SchemaFormat& format) {
    auto* command = app.add_subcommand("schema", "Print the JSON Schema of the configuration");
    auto* group = command->add_option_group("form", "Another description instead");
    group->add_flag_callback(
        "--markdown", [&] { format = SchemaFormat::markdown; }, "docs/CONFIGURATION.md");
    group->add_flag_callback(
        "--metrics", [&] { format = SchemaFormat::metrics; }, "docs/METRICS.md");
    group->require_option(0, 1);
    command->callback([&] { invocation.run = [&] { return run_schema(format, invocation.out); }; });
}

void declare_drain(CLI::App& app, Invocation& invocation, DrainOptions& options) {
    auto* command = app.add_subcommand(
        "drain", "Take a running gateway out of service and wait until it is idle");
    command->add_option("--admin", options.admin, "URL of the admin listener")
        ->capture_default_str();
    command->add_option("--token-file", options.token_file, "File that holds the admin token");
    command
        ->add_option_function<std::string>(
            "--timeout",
            [&](const std::string& text) { options.timeout = *config::parse_duration(text); },
            "Longest wait")
        ->check(check_duration)
        ->default_str("600s");
    command->add_flag("--wait,!--no-wait", options.wait,
                      "Wait until nothing is in flight (the default)");
    command->callback([&] {
        options.progress = ::isatty(STDERR_FILENO) == 1;
        invocation.run = [&] { return run_drain(options, invocation.out, invocation.err); };
    });
}

void declare_rollout(CLI::App& app, Invocation& invocation, RolloutOptions& options) {
    auto* command =
        app.add_subcommand("rollout", "Show a model's rollout in a running gateway, or steer it");
    command->add_option("model", options.model, "Id of the model")->required();
    command->add_option("order", options.order, "status, start, pause, resume, promote or abort")
        ->check([](const std::string& word) {
            return is_rollout_order(word) ? ""
                                          : "`" + word +
                                                "` is none of status, start, pause, resume, "
                                                "promote and abort";
        })
        ->capture_default_str();
    command->add_option("--admin", options.admin, "URL of the admin listener")
        ->capture_default_str();
    command->add_option("--token-file", options.token_file, "File that holds the admin token");
    command->add_flag("--json", options.json, "Print JSON");
    command->callback([&] {
        invocation.run = [&] { return run_rollout(options, invocation.out, invocation.err); };
    });
}

void declare_explain(CLI::App& app, Invocation& invocation, ExplainOptions& options) {
    auto* command = app.add_subcommand("explain", "Say where a request would go, and why");
    command->add_option("-c,--config", options.config_file, "Configuration document")->required();
    command->add_option("--method", options.method,
                        "Method (default: GET where the path answers only that, else POST)");
    command->add_option("--path", options.path, "Path and query")->capture_default_str();
    command->add_option("--header", options.headers, "Header `name: value`; repeatable")
        ->allow_extra_args(false);
    command->add_option("--body", options.body_file, "File with the request's body");
    command->add_option("--key-id", options.key_id, "Id of the API key that it comes with");
    command->add_option("--tenant", options.tenant, "Tenant that it comes from");
    command->add_flag("--json", options.json, "Print JSON");
    command->callback([&] {
        invocation.run = [&] { return run_explain(options, invocation.out, invocation.err); };
    });
}

void declare_keys(CLI::App& app, Invocation& invocation, NewKeyOptions& fresh,
                  DigestOptions& imported) {
    auto* keys = app.add_subcommand("keys", "Make lines for the key file");
    keys->require_subcommand(1);
    auto* create = keys->add_subcommand("new", "Make a key and print it once");
    create->add_option("--tenant", fresh.tenant, "Tenant that it belongs to")->required();
    create->add_option("--expires", fresh.expires, "RFC 3339 time after which it is refused");
    add_pepper(*create, fresh.pepper);
    create->callback([&] {
        invocation.run = [&] { return run_keys_new(fresh, invocation.out, invocation.err); };
    });
    auto* digest = keys->add_subcommand("digest", "Read a key from standard input, print its line");
    digest->add_option("--tenant", imported.tenant, "Tenant that it belongs to")->required();
    digest->add_option("--id", imported.id, "Its name; needed for keys of another form");
    add_pepper(*digest, imported.pepper);
    digest->callback([&] {
        invocation.run = [&] {
            return run_keys_digest(imported, std::cin, invocation.out, invocation.err);
        };
    });
}

}  // namespace

int run_cli(int argc, const char* const* argv, std::ostream& out, std::ostream& err,
            const std::function<int(const ServeOptions&)>& serve) {
    CLI::App app("Millrace: a gateway for OpenAI-compatible model servers");
    app.name("millrace");
    app.require_subcommand(1);
    Invocation invocation{out, err, {}};
    ServeOptions serve_options;
    std::string check_file;
    auto schema_format = SchemaFormat::json;
    DrainOptions drain_options;
    RolloutOptions rollout_options;
    ExplainOptions explain_options;
    NewKeyOptions new_key_options;
    DigestOptions digest_options;
    declare_serve(app, invocation, serve_options, serve);
    declare_drain(app, invocation, drain_options);
    declare_rollout(app, invocation, rollout_options);
    declare_check(app, invocation, check_file);
    declare_schema(app, invocation, schema_format);
    declare_explain(app, invocation, explain_options);
    declare_keys(app, invocation, new_key_options, digest_options);
    app.add_subcommand("version", "Print the version and those of the libraries")->callback([&] {
        invocation.run = [&] { return run_version(out); };
    });
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        // --help arrives here too, as a success.
        return app.exit(error, out, err) == 0 ? kExitClean : kExitConfiguration;
    }
    return invocation.run();
}

}  // namespace millrace::gateway
