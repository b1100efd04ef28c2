// The app when its files change: from a signal or a changed file to the snapshot that serves.
#include <boost/asio/post.hpp>
#include <utility>

#include "gateway/app/app.hpp"
#include "gateway/app/host.hpp"
#include "gateway/app/log.hpp"
#include "metrics/process.hpp"

namespace millrace::gateway {

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
