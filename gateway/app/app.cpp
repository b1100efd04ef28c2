#include "gateway/app/app.hpp"

#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <random>
#include <utility>

#include "gateway/adapters/resolver.hpp"
#include "gateway/adapters/system_memory.hpp"
#include "gateway/app/log.hpp"
#include "gateway/commands/exit_code.hpp"

namespace millrace::gateway {
namespace {

/// While the process is stopping, this often it is looked whether it can.
constexpr Duration kReview = std::chrono::seconds(1);
constexpr Duration kStopPoll = std::chrono::milliseconds(10);
/// What the byte budget is when neither the configuration nor the system says.
constexpr std::uint64_t kFallbackBudget = std::uint64_t{1} << 30U;

std::size_t count_workers(const config::Process& process) {
    return process.workers > 0 ? process.workers
                               : std::max<std::size_t>(1, std::thread::hardware_concurrency());
}

std::uint64_t byte_budget(const config::Limits& limits) {
    if (limits.buffered_bytes > 0) {
        return limits.buffered_bytes;
    }
    const auto memory = find_system_memory();
    return memory.bytes > 0 ? memory.bytes / 4 : kFallbackBudget;
}

/// The pod's namespace, where there is one.
std::string own_namespace(const config::Sources& sources) {
    if (const auto named = sources.environment("POD_NAMESPACE"); named && !named->empty()) {
        return *named;
    }
    const auto mounted =
        sources.read_file("/var/run/secrets/kubernetes.io/serviceaccount/namespace");
    return mounted && !mounted->empty() ? *mounted : "default";
}

std::vector<std::string> look_up(const std::string& name) {
    if (name == "localhost" || name.ends_with(".localhost")) {
        return {"127.0.0.1"};  // RFC 6761 §6.3: no resolver may say otherwise
    }
    return resolve_name(name).value_or(std::vector<std::string>{});
}

std::uint64_t random_word() {
    std::random_device entropy;
    return (std::uint64_t{entropy()} << 32U) | entropy();
}

/// As many connections as the system lets us have.
void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        ::setrlimit(RLIMIT_NOFILE, &limit);
    }
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
    std::signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    // Request bodies come and go by the hundred kilobytes: served from the heap, not by a mapping
    // each.
    ::mallopt(M_MMAP_THRESHOLD, 64 * 1024 * 1024);
    ::mallopt(M_TRIM_THRESHOLD, 64 * 1024 * 1024);
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

void App::watch_files() {
    auto files = loaded_.current()->files;
    if (watch_ != nullptr) {
        watch_->replace(std::move(files));
        return;
    }
    watch_ = std::make_unique<FileWatch>(std::move(files), [this] {
        boost::asio::post(control_, [this] { reload("file change"); });
    });
}

void App::reload(const std::string& why) {
    using metrics::ReloadResult;
    const auto count = [this](ReloadResult result) {
        control_slot().process().config_reloads[metrics::index_of(result)].add();
        last_reload_succeeded_.store(result == ReloadResult::success, std::memory_order_relaxed);
    };
    const auto outcome = store_.reload(config_file_, sources_);
    for (const auto& problem : outcome.problems) {
        log(problem.severity == config::Severity::error ? config::LogLevel::error
                                                        : config::LogLevel::warning,
            config::to_string(problem));
    }
    if (outcome.result == config::ReloadResult::refused) {
        log_error("reload (" + why + ") refused; the last good configuration stays");
        count(ReloadResult::failure);
        return;
    }
    if (outcome.result == config::ReloadResult::unchanged && !snapshot_is_stale_) {
        log_info("reload (" + why + "): nothing changed");
        count(ReloadResult::success);
        return;
    }
    auto snapshot = builder_.build(loaded_.current());
    if (!snapshot) {
        snapshot_is_stale_ = true;
        log_error("reload (" + why + ") refused: " + snapshot.error().detail);
        count(ReloadResult::failure);
        return;
    }
    publish(std::move(*snapshot));
    count(ReloadResult::success);
    log_info("reload (" + why + "): the new configuration serves");
}

void App::publish(std::shared_ptr<const Snapshot> snapshot) {
    snapshot_is_stale_ = false;
    const auto& config = snapshot->config();
    discovery_->apply(config.backends, /*wait=*/false);
    set_log_level(config.logging.level);
    budget_.set_limit(byte_budget(config.limits));
    lifecycle_.set_limits(config.drain);
    rollouts_.follow(config);
    health_checks_.follow(snapshot);
    engine_metrics_.follow(snapshot);
    snapshots_->publish(std::move(snapshot));
    generation_.fetch_add(1, std::memory_order_relaxed);
    register_endpoint_gauges();
    watch_files();
}

}  // namespace millrace::gateway
