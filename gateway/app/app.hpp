// App: the composition root. Owns every component by value or unique_ptr, in the order in which
// they depend on each other, and runs the control thread: signals, reload, drain, metrics and admin
// listeners.
//
// Thread-safety: construct, start() and run() from one thread (main); everything else is internal.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "config/load.hpp"
#include "config/store.hpp"
#include "gateway/access_log/access_log.hpp"
#include "gateway/adapters/watch.hpp"
#include "gateway/admin/control_server.hpp"
#include "gateway/admin/routes.hpp"
#include "gateway/app/discovery.hpp"
#include "gateway/app/endpoint_rounds.hpp"
#include "gateway/app/lifecycle.hpp"
#include "gateway/app/overload_monitor.hpp"
#include "gateway/app/rollouts.hpp"
#include "gateway/app/snapshot_builder.hpp"
#include "gateway/openai/response_ids.hpp"
#include "gateway/server/acceptor.hpp"
#include "gateway/server/listen.hpp"
#include "gateway/server/worker.hpp"
#include "metrics/registry.hpp"
#include "routing/catalog.hpp"
#include "routing/overload.hpp"

namespace millrace::gateway {

class App {
public:
    App(std::string config_file, const std::shared_ptr<const config::Loaded>& loaded);
    App(const App&) = delete;
    App& operator=(const App&) = delete;
    ~App();

    /// Builds the first snapshot, binds all listeners, starts all threads. The error says what
    /// could not be had.
    Result<void> start();
    /// Serves until a signal and the drain have ended it; returns the exit code.
    int run();

private:
    Result<void> bind();
    Result<void> start_control_servers();
    EndpointRounds rounds(RoundKind kind);
    void start_workers();
    void register_gauges();
    void register_endpoint_gauges();
    void watch_files();
    void announce() const;

    void await_signal();
    void reload(const std::string& why);
    void publish(std::shared_ptr<const Snapshot> snapshot);
    void perform(const LifecycleActions& actions);
    void tick();
    void review_endpoints();
    OverloadReading read_load() const;
    void on_overload(const OverloadMonitor::Change& change, const OverloadReading& reading);

    ControlPlane control_plane();
    Result<void> set_drained(bool drained);
    Result<void> drain_endpoint(const std::string& backend, const std::string& url, bool drained);
    std::string status_json() const;
    Result<std::string> explain(const std::string& request);
    std::uint32_t live_requests() const;
    std::uint32_t connections() const;
    metrics::Slot& control_slot() { return registry_.slot(worker_count_ + 1); }

    const std::string config_file_;
    const config::Sources sources_;
    SystemClock clock_;
    Published<config::Loaded> loaded_;
    config::Store store_;
    const std::size_t worker_count_;
    metrics::Registry registry_;
    routing::RoutingState routing_;
    Rollouts rollouts_;
    SnapshotBuilder builder_;
    ByteBudget budget_;
    routing::OverloadLadder overload_;
    openai::ResponseIds response_ids_;
    const std::uint64_t prompt_secret_;
    std::unique_ptr<AccessLog> access_log_;
    std::unique_ptr<Published<Snapshot>> snapshots_;
    std::unique_ptr<Discovery> discovery_;
    std::unique_ptr<Listener> data_listener_;
    std::vector<std::unique_ptr<Worker>> workers_;
    std::unique_ptr<Acceptor> acceptor_;
    boost::asio::io_context control_{1};
    boost::asio::signal_set signals_{control_};
    boost::asio::steady_timer ticker_{control_};
    boost::asio::steady_timer reviewer_{control_};
    EndpointRounds health_checks_;
    EndpointRounds engine_metrics_;
    OverloadMonitor overload_monitor_;
    std::uint64_t own_descriptors_ = 0;  // those that are no worker's socket
    std::unique_ptr<ControlServer> metrics_server_;
    std::unique_ptr<ControlServer> admin_server_;
    std::unique_ptr<FileWatch> watch_;
    std::vector<metrics::GaugeHandle> gauges_;
    std::vector<metrics::GaugeHandle> endpoint_gauges_;
    std::atomic<bool> last_reload_succeeded_{true};
    std::atomic<std::uint64_t> generation_{1};
    Lifecycle lifecycle_;
    bool snapshot_is_stale_ = false;  // the published configuration could not be built yet
};

}  // namespace millrace::gateway
