#include "gateway/commands/check.hpp"

#include <algorithm>
#include <ostream>

#include "gateway/adapters/file_reader.hpp"
#include "gateway/commands/exit_code.hpp"
#include "gateway/identity/key_file.hpp"
#include "gateway/tls/context.hpp"

namespace millrace::gateway {
namespace {

std::string counted(std::size_t count, const std::string& noun) {
    return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

void check_keys(const config::Keys& keys, std::vector<std::string>& problems) {
    const auto text = read_whole_file(keys.file);
    if (!text) {
        problems.push_back(text.error().detail);
        return;
    }
    for (const auto& problem : parse_key_file(*text).problems) {
        problems.push_back(keys.file + ":" + std::to_string(problem.line) +
                           ": error: " + problem.message);
    }
}

}  // namespace

std::vector<std::string> find_file_problems(const config::Loaded& loaded) {
    std::vector<std::string> problems;
    const auto& config = loaded.config;
    if (config.authentication.keys) {
        check_keys(*config.authentication.keys, problems);
    }
    if (const auto& tls = config.listeners.data.tls) {
        if (const auto context = TlsServerContext::load(*tls); !context) {
            problems.push_back("listeners.data.tls: " + context.error().detail);
        }
    }
    for (const auto& [name, backend] : config.backends) {
        if (backend.tls == config::UpstreamTls{}) {
            continue;
        }
        if (const auto context = TlsClientContext::load(backend.tls); !context) {
            problems.push_back("backends." + name + ".tls: " + context.error().detail);
        }
    }
    return problems;
}

int run_check(const std::string& file, std::ostream& out, std::ostream& err) {
    const auto result = config::load(file, config::system_sources());
    for (const auto& problem : result.problems) {
        err << config::to_string(problem) << '\n';
    }
    std::size_t errors = static_cast<std::size_t>(
        std::ranges::count(result.problems, config::Severity::error, &config::Problem::severity));
    const auto warnings = result.problems.size() - errors;
    if (result.loaded) {
        for (const auto& problem : find_file_problems(*result.loaded)) {
            err << problem << '\n';
            ++errors;
        }
    }
    if (errors > 0) {
        out << file << ": " << counted(errors, "error") << ", " << counted(warnings, "warning")
            << ".\n";
        return kExitConfiguration;
    }
    const auto& config = result.loaded->config;
    out << file << ": valid, with " << counted(config.models.size(), "model") << ", "
        << counted(config.backends.size(), "backend") << ", "
        << counted(result.loaded->routes.size(), "HTTPRoute") << " and "
        << counted(warnings, "warning") << ".\n";
    return kExitClean;
}

}  // namespace millrace::gateway
