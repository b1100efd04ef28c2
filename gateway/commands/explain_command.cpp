// `millrace explain`: a catalog from a file, a request from options, the explanation as text.
#include <ostream>

#include "config/load.hpp"
#include "gateway/adapters/file_reader.hpp"
#include "gateway/commands/exit_code.hpp"
#include "gateway/commands/explain.hpp"
#include "gateway/openai/error_table.hpp"
#include "gateway/openai/surface.hpp"
#include "routing/discovery.hpp"

namespace millrace::gateway {
namespace {

constexpr std::string_view kBlank = " \t";

/// Nobody reads metrics here, so every series may be the same one.
class NoMetrics final : public routing::MetricInterner {
public:
    std::uint32_t variant(const routing::VariantLabels& /*labels*/) override { return 0; }
    std::uint32_t backend(std::string_view /*name*/) override { return 0; }
};

/// Puts the configured endpoints into the pools; a DNS name stands for whatever it resolves to.
void fill_pools(const config::Config& config, const routing::RoutingState& state) {
    for (const auto& pool : state.pools.all()) {
        const auto backend = config.backends.find(pool->name());
        if (backend == config.backends.end()) {
            continue;
        }
        const auto& endpoints = backend->second.endpoints;
        auto addresses = routing::discover(endpoints, {}, {}).endpoints;
        if (endpoints.dns) {
            const auto& dns = *endpoints.dns;
            addresses.push_back({dns.name, dns.port, dns.https, dns.name});
        }
        pool->update(addresses);
        routing::PoolLimits limits;
        if (backend->second.slots_per_endpoint > 0) {
            limits.slots_per_endpoint = backend->second.slots_per_endpoint;
        }
        pool->set_limits(limits);
    }
}

std::string usual_method(const SampleRequest& request) {
    const std::string_view target = request.target;
    const auto allowed = openai::allowed_methods(target.substr(0, target.find('?')));
    return request.body.empty() && allowed.starts_with("GET") ? "GET" : "POST";
}

Result<SampleRequest> make_request(const ExplainOptions& options) {
    SampleRequest request;
    request.target = options.path;
    request.key_id = options.key_id;
    request.tenant = options.tenant;
    for (const auto& header : options.headers) {
        const auto colon = header.find(':');
        if (colon == std::string::npos || colon == 0) {
            return failure(Errc::bad_field, Origin::downstream,
                           "The header `" + header + "` must look like `name: value`.");
        }
        const auto begin = std::min(header.find_first_not_of(kBlank, colon + 1), header.size());
        const auto end = header.find_last_not_of(kBlank) + 1;
        request.headers.emplace_back(header.substr(0, colon),
                                     begin < end ? header.substr(begin, end - begin) : "");
    }
    if (!options.body_file.empty()) {
        auto body = read_whole_file(options.body_file);
        if (!body) {
            return std::unexpected(body.error());
        }
        request.body = std::move(*body);
    }
    request.method = options.method.empty() ? usual_method(request) : options.method;
    return request;
}

void print(const SampleRequest& request, const Explanation& explanation, std::ostream& out) {
    out << request.method << ' ' << request.target << '\n';
    for (std::size_t i = 0; i < explanation.lines.size(); ++i) {
        out << "  " << i + 1 << ". " << explanation.lines[i] << '\n';
    }
    if (explanation.refusal) {
        out << "Refused with " << openai::error_row(explanation.refusal->code).status << ' '
            << to_string(explanation.refusal->code) << ": " << explanation.refusal->detail << '\n';
    } else if (!explanation.backend.empty()) {
        out << (explanation.endpoint.empty() ? "Waits for an endpoint"
                                             : "Goes to " + explanation.endpoint)
            << " of backend " << explanation.backend << ", variant " << explanation.variant;
        if (!explanation.served_name.empty()) {
            out << ", as model " << explanation.served_name;
        }
        out << ".\n";
    }
}

}  // namespace

int run_explain(const ExplainOptions& options, std::ostream& out, std::ostream& err) {
    const auto request = make_request(options);
    if (!request) {
        err << request.error().detail << '\n';
        return kExitConfiguration;
    }
    const auto result = config::load(options.config_file, config::system_sources());
    if (!result.loaded) {
        for (const auto& problem : result.problems) {
            err << config::to_string(problem) << '\n';
        }
        return kExitConfiguration;
    }
    routing::RoutingState state;
    NoMetrics metrics;
    const auto catalog = routing::Catalog::compile(result.loaded, state, metrics);
    fill_pools(result.loaded->config, state);
    routing::EndpointView endpoints;
    Random random(0);  // the same explanation every time
    routing::PromptBlocks blocks({});
    const auto explanation = explain(*request, *catalog, endpoints, blocks, random);
    if (options.json) {
        out << to_json(explanation);
    } else {
        print(*request, explanation, out);
    }
    return kExitClean;
}

}  // namespace millrace::gateway
