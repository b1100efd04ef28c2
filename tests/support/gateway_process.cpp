#include "tests/support/gateway_process.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>

#include "tests/support/json_lines.hpp"

namespace millrace::test {

namespace {

constexpr std::string_view kReloads = "millrace_config_reloads_total";
constexpr std::array<std::string_view, 5> kGauges{
    "millrace_queued_requests", "millrace_in_flight_requests", "millrace_pending_requests",
    "millrace_load_requests", "vllm_pending_requests"};

std::string joined(std::string_view first, std::string_view more) {
    return more.empty() ? std::string(first) : std::string(first).append(", ").append(more);
}

}  // namespace

GatewayProcess::GatewayProcess(GatewayOptions options) : options_(std::move(options)) {
    for (const auto& [name, contents] : options_.files) {
        directory_.write(name, contents);
    }
    // Somebody else may take a port between the look and the bind; then other ports are tried.
    for (int attempt = 0; attempt < 3; ++attempt) {
        start();
        if (!options_.wait_until_ready ||
            eventually([this] { return ready() || !process_->running(); }, kPatience) == false) {
            break;
        }
        if (process_->running() || !errors().contains("in use")) {
            break;
        }
    }
    if (options_.wait_until_ready && !ready()) {
        throw std::runtime_error("the gateway did not become ready:\n" + errors());
    }
}

void GatewayProcess::start() {
    data_port_ = free_port();
    metrics_port_ = free_port();
    admin_port_ = free_port();
    write_document(options_.document);
    process_ = std::make_unique<Process>(Process::Options{
        .command = {program("millrace"), "serve", "-c", (directory() / "millrace.yaml").string()},
        .output = directory() / "stdout",
        .errors = directory() / "stderr",
        .environment = options_.environment});
}

std::string GatewayProcess::full_document(std::string_view document) const {
    const auto at = [](std::uint16_t port) {
        return "address: \"" + loopback() + ':' + std::to_string(port) + '"';
    };
    std::string text = "listeners:\n";
    text += "  data: {" + joined(at(data_port_), options_.data_listener) + "}\n";
    text += "  metrics: {" + at(metrics_port_) + "}\n";
    text += "  admin: {" + joined(at(admin_port_), options_.admin_listener) + "}\n";
    text += "process: {workers: " + std::to_string(options_.workers) + "}\n";
    const auto log = "access_log: \"" + (directory() / "access.log").string() + '"';
    text += "logging: {" + joined(log, options_.logging) + "}\n";
    if (document.find("overload:") == std::string_view::npos) {
        text += "overload: {loop_lag: 0s}\n";  // the machine that runs the tests may be busy
    }
    return text.append(document);
}

void GatewayProcess::write_document(std::string_view document) {
    directory_.write("millrace.yaml", full_document(document));
}

bool GatewayProcess::reload(std::string_view result) {
    const MetricsText::Labels labels{{"result", std::string(result)}};
    const double before = metrics().sum(kReloads, labels);
    signal(SIGHUP);
    return eventually([&] { return metrics().sum(kReloads, labels) > before; });
}

std::optional<int> GatewayProcess::stop(Millis limit) {
    signal(SIGTERM);
    return wait(limit);
}

std::string GatewayProcess::metrics_page() const {
    return get(metrics_port_, "/metrics").body;
}

MetricsText GatewayProcess::metrics() const {
    return MetricsText(metrics_page());
}

bool GatewayProcess::ready() const {
    return call(metrics_port_, request("GET", "/readyz"), 2s).status() == 200;
}

bool GatewayProcess::quiet(Millis limit) const {
    return eventually(
        [this] {
            const auto page = metrics();
            return std::ranges::all_of(kGauges,
                                       [&](std::string_view name) { return page.sum(name) == 0; });
        },
        limit, 20ms);
}

Message GatewayProcess::admin(std::string_view method, std::string_view target,
                              std::string_view body, const Headers& headers) const {
    return call(admin_port_, request(method, target, headers, body));
}

std::string GatewayProcess::errors() const {
    return read_file(directory() / "stderr");
}

std::string GatewayProcess::access_log_text() const {
    return read_file(directory() / "access.log");
}

std::vector<nlohmann::json> GatewayProcess::access_log() const {
    return json_lines(access_log_text());
}

bool GatewayProcess::wait_for_access_log(std::size_t lines, Millis limit) const {
    return eventually(
        [&] {
            const auto text = access_log_text();
            return static_cast<std::size_t>(std::ranges::count(text, '\n')) >= lines;
        },
        limit, 10ms);
}

nlohmann::json GatewayProcess::access_line(const std::string& request_id, Millis limit) const {
    nlohmann::json found;
    eventually(
        [&] {
            for (const auto& line : access_log()) {
                if (line.value("request_id", "") == request_id) {
                    found = line;
                    return true;
                }
            }
            return false;
        },
        limit, 10ms);
    return found;
}

std::string one_model(const std::string& url, std::string_view backend_extra,
                      std::string_view model_extra, std::string_view name) {
    std::string text = "models:\n  - {" +
                       joined("id: " + std::string(name) + ", variants: [{name: stable, backend: " +
                                  std::string(name) + "-pool}]",
                              model_extra);
    text += "}\nbackends:\n  " + std::string(name) + "-pool: {" +
            joined("endpoints: {static: [\"" + url + "\"]}", backend_extra) + "}\n";
    return text;
}

GatewayOptions forward_everything(const std::string& url, std::string_view backend_extra,
                                  std::string_view document) {
    return {.document = "backends:\n  origin: {" +
                        joined("endpoints: {static: [\"" + url + "\"]}", backend_extra) +
                        "}\nroutes: {manifests: [route.yaml]}\n" + std::string(document),
            .files = {{"route.yaml", catch_all_route("origin")}}};
}

std::string catch_all_route(std::string_view backend) {
    return "apiVersion: gateway.networking.k8s.io/v1\n"
           "kind: HTTPRoute\n"
           "metadata: {name: catch-all, namespace: default}\n"
           "spec:\n"
           "  rules:\n"
           "    - matches: [{path: {type: PathPrefix, value: /}}]\n"
           "      backendRefs: [{name: " +
           std::string(backend) + ", port: 8000}]\n";
}

}  // namespace millrace::test
