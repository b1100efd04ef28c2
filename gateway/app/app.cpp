#include "gateway/app/app.hpp"

#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstdlib>
#include <utility>

#include "gateway/adapters/resolver.hpp"
#include "gateway/app/host.hpp"
#include "gateway/app/log.hpp"
#include "gateway/commands/exit_code.hpp"

namespace millrace::gateway {
namespace {

constexpr Duration kReview = std::chrono::seconds(1);
/// While the process is stopping, this often it is looked whether it can.
constexpr Duration kStopPoll = std::chrono::milliseconds(10);

std::vector<std::string> look_up(const std::string& name) {
    if (name == "localhost" || name.ends_with(".localhost")) {
        return {"127.0.0.1"};  // RFC 6761 §6.3: no resolver may say otherwise
    }
    return resolve_name(name).value_or(std::vector<std::string>{});
}

}  // namespace

App::App(std::string config_file, const std::shared_ptr<const config::Loaded>& loaded)
    : config_file_(std::move(config_file)),
      sources_(config::system_sources()),
      loaded_(loaded),
      store_(loaded_),
      worker_count_(count_workers(loaded->config.process)),
      // One slot per worker, then the acceptor's and the control thread's.
      registry_(worker_count_ + 2, {.version = MILLRACE_VERSION, .workers = worker_count_}),
      routing_{.pools = {},
               .tickets = {},
               .rollouts = routing::RolloutDirectory(worker_count_),
               .measures = {}},
      rollouts_(routing_.rollouts, registry_, clock_,
                [](config::LogLevel level, const std::string& line) { log(level, line); }),
      builder_(routing_, registry_, clock_, own_namespace(sources_)),
      budget_(byte_budget(loaded->config.limits)),
      prompt_secret_(random_word()),
      health_checks_(rounds(health_checks())),
      engine_metrics_(rounds(engine_metrics())),
      overload_monitor_(
          overload_, [this] { return read_load(); },
          [this](const OverloadMonitor::Change& change, const OverloadReading& reading) {
              on_overload(change, reading);
          }),
      lifecycle_(loaded->config.drain) {}

EndpointRounds App::rounds(RoundKind kind) {
    return {std::move(kind), routing_.pools,
            [this](HttpRequest request, EndpointRounds::Done done) {
                start_http_exchange(control_, std::move(request), std::move(done));
            },
            clock_, random_word()};
}

App::~App() {
    // Threads end before what they use: acceptor, then workers, then the rest in reverse order of
    // declaration.
    gauges_.clear();
    endpoint_gauges_.clear();
    watch_.reset();
    acceptor_.reset();
    workers_.clear();
}

Result<void> App::start() {
    prepare_process();
    const auto loaded = loaded_.current();
    set_log_level(loaded->config.logging.level);
    auto snapshot = builder_.build(loaded);
    if (!snapshot) {
        return std::unexpected(std::move(snapshot.error()));
    }
    if (const auto& target = loaded->config.logging.access_log; !target.empty()) {
        auto opened = AccessLog::open(target);
        if (!opened) {
            return std::unexpected(std::move(opened.error()));
        }
        access_log_ = std::move(*opened);
    }
    if (auto bound = bind(); !bound) {
        return bound;
    }
    rollouts_.follow(loaded->config);
    health_checks_.follow(*snapshot);
    engine_metrics_.follow(*snapshot);
    snapshots_ = std::make_unique<Published<Snapshot>>(std::move(*snapshot));
    discovery_ = std::make_unique<Discovery>(routing_.pools, look_up,
                                             [](const std::string& line) { log_warning(line); });
    discovery_->apply(loaded->config.backends, /*wait=*/true);
    start_workers();
    if (auto started = start_control_servers(); !started) {
        return started;
    }
    watch_files();
    register_gauges();
    announce();
    return {};
}

Result<void> App::bind() {
    const auto environment = [](const char* name) -> std::optional<std::string> {
        const char* value = std::getenv(name);
        return value == nullptr ? std::nullopt : std::optional<std::string>(value);
    };
    if (auto inherited = inherited_listener("data", environment, ::getpid())) {
        data_listener_ = std::make_unique<Listener>(std::move(*inherited));
        return {};
    }
    auto bound = Listener::bind(loaded_.current()->config.listeners.data.address);
    if (!bound) {
        return std::unexpected(std::move(bound.error()));
    }
    data_listener_ = std::make_unique<Listener>(std::move(*bound));
    return {};
}

void App::start_workers() {
    const SharedServices shared{clock_,
                                *snapshots_,
                                budget_,
                                overload_,
                                response_ids_,
                                access_log_.get(),
                                prompt_secret_,
                                [](const std::string& bug) {
                                    log_error("a connection was closed because of a bug: " + bug);
                                }};
    const auto seed = random_word();
    for (std::size_t i = 0; i < worker_count_; ++i) {
        workers_.push_back(std::make_unique<Worker>(i, shared, registry_.slot(i), seed));
        workers_.back()->start();
    }
    acceptor_ = std::make_unique<Acceptor>(data_listener_->native(), workers_, *snapshots_,
                                           overload_, registry_.slot(worker_count_));
    acceptor_->start();
}

void App::announce() const {
    const auto& config = loaded_.current()->config;
    log_info("millrace " MILLRACE_VERSION " serves on " + config.listeners.data.address.host + ":" +
             std::to_string(data_listener_->port()) + " with " + std::to_string(worker_count_) +
             " workers; metrics on port " + std::to_string(metrics_server_->port()) +
             ", admin on port " + std::to_string(admin_server_->port()));
    if (!config.authentication.keys) {
        log_warning(
            "NO API KEYS ARE CONFIGURED: everybody who can reach the data port may use every model "
            "(authentication.keys)");
    }
}

int App::run() {
    signals_.add(SIGTERM);
    signals_.add(SIGINT);
    signals_.add(SIGHUP);
    await_signal();
    review_endpoints();
    overload_monitor_.start(control_, clock_);
    control_.run();
    rollouts_.save();
    return lifecycle_.exit_code() == 0 ? kExitClean : kExitDrainDeadline;
}

void App::await_signal() {
    signals_.async_wait([this](boost::system::error_code error, int signal) {
        if (error) {
            return;
        }
        if (signal == SIGHUP) {
            reload("SIGHUP");
        } else {
            log_info(lifecycle_.is_stopping() ? "second signal: stopping now"
                                              : "stopping: running requests may finish");
            perform(lifecycle_.on_signal(clock_.now(), live_requests()));
            tick();
        }
        await_signal();
    });
}

void App::perform(const LifecycleActions& actions) {
    if (actions.stop_accepting) {
        acceptor_->stop();
        data_listener_
            .reset();  // refused from here on, instead of waiting in a queue that nobody serves
    }
    for (const auto& worker : workers_) {
        if (actions.drain_connections) {
            worker->drain(true);
        }
        if (actions.abort_requests) {
            worker->abort_all();
        }
    }
    if (actions.abort_requests) {
        log_warning("ending " + std::to_string(live_requests()) + " requests that still run");
    }
    if (actions.stop) {
        control_.stop();
    }
}

void App::tick() {
    ticker_.expires_after(kStopPoll);
    ticker_.async_wait([this](boost::system::error_code error) {
        if (error) {
            return;
        }
        perform(lifecycle_.advance(clock_.now(), live_requests(), connections()));
        if (lifecycle_.phase() != Lifecycle::Phase::stopped) {
            tick();
        }
    });
}

/// Once a second: who may come back, a line for everything that happened, and what was measured.
void App::review_endpoints() {
    for (const auto& pool : routing_.pools.all()) {
        const Instant now = clock_.now();
        for (const auto& change : pool->review(now)) {
            auto line = "backend " + pool->name() + ": endpoint " + change.endpoint + " was " +
                        std::string(to_string(change.from)) + " and is " +
                        std::string(to_string(change.to)) + " (" +
                        std::string(to_string(change.cause)) + ")";
            if (change.to == routing::HealthState::ejected) {
                line += " for " + std::to_string(std::lround(seconds(change.until - now))) + " s";
            }
            log_info(line);
        }
    }
    routing_.measures.tick(clock_.now());
    health_checks_.advance();
    engine_metrics_.advance();
    rollouts_.advance();
    reviewer_.expires_after(kReview);
    reviewer_.async_wait([this](boost::system::error_code error) {
        if (!error) {
            review_endpoints();
        }
    });
}

}  // namespace millrace::gateway
