// The app as operators see it: metrics and admin listeners, gauges, drain and explain.
#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <memory>
#include <utility>

#include "gateway/app/app.hpp"
#include "gateway/app/log.hpp"
#include "gateway/commands/explain.hpp"
#include "metrics/demand.hpp"
#include "metrics/process.hpp"
#include "routing/gate.hpp"

namespace millrace::gateway {
namespace {

double count_open_files() {
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir("/proc/self/fd"), &::closedir);
    if (directory == nullptr) {
        return 0;
    }
    double count = -3;  // `.`, `..` and the one that is being read
    while (::readdir(directory.get()) != nullptr) {
        ++count;
    }
    return count;
}

std::string read_text(const char* path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

std::uint32_t App::live_requests() const {
    std::uint32_t total = 0;
    for (const auto& worker : workers_) {
        total += worker->live_requests();
    }
    return total;
}

std::uint32_t App::connections() const {
    std::uint32_t total = 0;
    for (const auto& worker : workers_) {
        total += worker->connections();
    }
    return total;
}

OverloadReading App::read_load() const {
    const auto& config = loaded_.current()->config;
    OverloadReading reading;
    reading.bytes = budget_.used();
    reading.byte_limit = budget_.limit();
    reading.connections = connections();
    reading.connection_limit = config.listeners.data.max_connections;
    reading.descriptors = own_descriptors_;
    for (const auto& worker : workers_) {
        reading.descriptors += worker->sockets();
        reading.loop_lag = std::max(reading.loop_lag, worker->loop_lag());
    }
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
        reading.descriptor_limit = limit.rlim_cur;
    }
    reading.loop_lag_limit = config.overload.loop_lag;
    return reading;
}

void App::on_overload(const OverloadMonitor::Change& change, const OverloadReading& reading) {
    log(change.to > change.from ? config::LogLevel::warning : config::LogLevel::info,
        describe(change, reading));
    if (change.to > change.from) {
        for (const auto& worker : workers_) {
            worker->shorten_idle();
        }
    }
}

Result<void> App::set_drained(bool drained) {
    if (!lifecycle_.set_drained(drained)) {
        return failure(Errc::draining, Origin::policy,
                       "The process is shutting down; that cannot be taken back.");
    }
    for (const auto& worker : workers_) {
        worker->drain(drained || lifecycle_.is_stopping());
    }
    log_info(drained ? "drained by an administrator: not ready" : "undrained: ready");
    return {};
}

Result<void> App::drain_endpoint(const std::string& backend, const std::string& url, bool drained) {
    const auto pool = routing_.pools.find(backend);
    if (pool == nullptr || !pool->set_draining(url, drained)) {
        return failure(Errc::path_not_found, Origin::policy,
                       "Backend `" + backend + "` has no endpoint `" + url +
                           "`; its endpoints are in /status.");
    }
    log_info((drained ? "endpoint drained: " : "endpoint undrained: ") + url);
    return {};
}

namespace {

std::string number_or_null(const std::optional<double>& value) {
    return value ? std::to_string(*value) : "null";
}

/// One endpoint as the admin listener shows it: what we count exactly, then the engine's advice.
std::string endpoint_json(const routing::Pool& pool, const routing::EndpointState& endpoint) {
    const auto slots = endpoint.limit();
    const auto advice = endpoint.load.advice();
    return R"({"backend": ")" + pool.name() + R"(", "endpoint": ")" + endpoint.url +
           R"(", "in_flight": )" + std::to_string(endpoint.in_flight.load()) + R"(, "slots": )" +
           (slots == routing::kUnlimitedSlots ? "null" : std::to_string(slots)) +
           R"(, "queued_prompt_tokens": )" +
           std::to_string(endpoint.load.queued_prompt_tokens.load()) + R"(, "ready": )" +
           (endpoint.ready() ? "true" : "false") + R"(, "draining": )" +
           (endpoint.draining.load() ? "true" : "false") + R"(, "engine": {"waiting": )" +
           number_or_null(advice.waiting) + R"(, "running": )" + number_or_null(advice.running) +
           R"(, "kv_usage": )" + number_or_null(advice.kv_usage) + "}}";
}

}  // namespace

std::string App::status_json() const {
    std::size_t queued = 0;
    std::string backends;
    for (const auto& pool : routing_.pools.all()) {
        queued += pool->gate().size();
        for (const auto& endpoint : pool->snapshot()->endpoints) {
            backends += (backends.empty() ? "" : ", ") + endpoint_json(*pool, *endpoint);
        }
    }
    return R"({"state": ")" + std::string(lifecycle_.is_ready() ? "serving" : "draining") +
           R"(", "queued": )" + std::to_string(queued) + R"(, "in_flight": )" +
           std::to_string(live_requests()) + R"(, "connections": )" +
           std::to_string(connections()) + R"(, "backends": [)" + backends + "]}";
}

Result<std::string> App::explain(const std::string& request) {
    const auto sample = parse_sample_request(request);
    if (!sample) {
        return std::unexpected(sample.error());
    }
    routing::EndpointView endpoints;
    Random random(static_cast<std::uint64_t>(clock_.now().time_since_epoch().count()));
    const auto snapshot = snapshots_->current();
    routing::PromptBlocks blocks({.secret = prompt_secret_});
    return to_json(gateway::explain(*sample, *snapshot->catalog, endpoints, blocks, random));
}

ControlPlane App::control_plane() {
    ControlPlane plane;
    plane.drain = [this] { return set_drained(true); };
    plane.undrain = [this] { return set_drained(false); };
    plane.drain_endpoint = [this](const std::string& backend, const std::string& url,
                                  bool drained) { return drain_endpoint(backend, url, drained); };
    plane.ready = [this] {
        return Readiness{lifecycle_.is_ready(), lifecycle_.is_ready() ? "serving" : "draining"};
    };
    plane.render_metrics = [this] { return registry_.render(); };
    plane.scaling_json = [this](const std::string& model) -> std::optional<std::string> {
        const auto snapshot = snapshots_->current();
        const auto found = snapshot->model_bodies.find(model);
        if (found == snapshot->model_bodies.end()) {
            return std::nullopt;
        }
        return metrics::scaling_json(registry_.demand(model));
    };
    plane.status_json = [this] { return status_json(); };
    plane.explain = [this](const std::string& request) { return explain(request); };
    plane.rollouts_json = [this] { return rollouts_.to_json(); };
    plane.command_rollout = [this](const std::string& model, const std::string& command) {
        return rollouts_.command(model, command);
    };
    return plane;
}

Result<void> App::start_control_servers() {
    const auto& listeners = loaded_.current()->config.listeners;
    const auto on_error = [](const std::string& line) { log_error(line); };
    ControlServerOptions metrics_options;
    metrics_options.address = listeners.metrics.address;
    metrics_options.on_error = on_error;
    auto metrics = ControlServer::start(control_, metrics_routes(control_plane()), metrics_options);
    if (!metrics) {
        return std::unexpected(std::move(metrics.error()));
    }
    metrics_server_ = std::move(*metrics);
    ControlServerOptions admin_options;
    admin_options.address = listeners.admin.address;
    admin_options.token = listeners.admin.token;
    admin_options.refuse_web_pages = !listeners.admin.token.has_value();
    admin_options.on_error = on_error;
    auto admin = ControlServer::start(control_, admin_routes(control_plane()), admin_options);
    if (!admin) {
        return std::unexpected(std::move(admin.error()));
    }
    admin_server_ = std::move(*admin);
    return {};
}

void App::register_gauges() {
    using metrics::Series;
    const auto add = [this](Series series, std::function<double()> read) {
        gauges_.push_back(registry_.register_gauge(series, {}, std::move(read)));
    };
    add(Series::buffered_bytes, [this] { return static_cast<double>(budget_.used()); });
    add(Series::overload_step, [this] { return static_cast<double>(overload_.actions().step); });
    add(Series::config_last_reload_success,
        [this] { return last_reload_succeeded_.load(std::memory_order_relaxed) ? 1.0 : 0.0; });
    add(Series::config_generation,
        [this] { return static_cast<double>(generation_.load(std::memory_order_relaxed)); });
    add(Series::access_log_dropped_total, [this] {
        return access_log_ == nullptr ? 0.0 : static_cast<double>(access_log_->dropped());
    });
    own_descriptors_ = static_cast<std::uint64_t>(count_open_files());
    metrics::ProcessSource source;
    source.read = read_text;
    source.open_files = count_open_files;
    source.page_bytes = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    source.ticks_per_second = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
    for (auto& gauge : metrics::register_process_gauges(registry_, std::move(source))) {
        gauges_.push_back(std::move(gauge));
    }
    register_endpoint_gauges();
}

void App::register_endpoint_gauges() {
    endpoint_gauges_.clear();
    for (const auto& pool : routing_.pools.all()) {
        const std::weak_ptr<routing::Pool> weak = pool;
        const auto add = [this, &pool, &weak](const char* state, auto read) {
            endpoint_gauges_.push_back(registry_.register_gauge(
                metrics::Series::endpoints, {pool->name(), state}, [weak, read] {
                    const auto live = weak.lock();
                    return live == nullptr ? 0.0 : static_cast<double>(read(*live));
                }));
        };
        add("ready", [](const auto& live) { return live.counts().ready; });
        add("draining", [](const auto& live) { return live.counts().draining; });
        add("unhealthy", [](const auto& live) { return live.health().unhealthy; });
        add("ejected", [](const auto& live) { return live.health().ejected; });
        add("half_open", [](const auto& live) { return live.health().half_open; });
    }
}

}  // namespace millrace::gateway
