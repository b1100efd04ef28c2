// Rollouts: canaries that watch themselves, on the control thread. Once a second it shows each
// model's rollout what both arms did since, publishes the share that follows, says in the log what
// happened and why, and keeps the state on disk.
//
// A rollout without usable stored state starts by itself at its first step. Each process judges by
// its own traffic and needs a state folder of its own.
// Thread-safety: none; control thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/base/clock.hpp"
#include "config/base/error.hpp"
#include "config/model.hpp"
#include "metrics/registry.hpp"
#include "routing/rollout.hpp"
#include "routing/rollout_traffic.hpp"

namespace millrace::gateway {

class Rollouts {
public:
    using Log = std::function<void(config::LogLevel level, const std::string& line)>;

    /// All arguments outlive it.
    Rollouts(routing::RolloutDirectory& directory, metrics::Registry& registry, const Clock& clock,
             Log log);
    Rollouts(const Rollouts&) = delete;
    Rollouts& operator=(const Rollouts&) = delete;

    /// Takes up the rollouts of this configuration; to be called before its catalog serves, so
    /// that no request sees a share from before. Running ones go on, also under a changed policy.
    void follow(const config::Config& config);
    /// To be called every second.
    void advance();
    /// Writes what is not yet on disk; before the process ends.
    void save();

    /// `{"rollouts": […]}`, by routing/rollout_report.
    std::string to_json() const;
    /// Obeys `command` (a word of routing::RolloutCommand) and returns the rollout's report.
    /// Errors: model_not_found, path_not_found (no such command), forbidden (not in this phase).
    Result<std::string> command(const std::string& model, const std::string& command);

private:
    struct Entry {
        config::Rollout settings;
        routing::Rollout rollout;
        std::shared_ptr<routing::RolloutTraffic> traffic;
        bool dirty = false;  ///< differs from what is on disk
        Instant saved_at{};
        std::vector<metrics::GaugeHandle> gauges;
    };
    using Entries = std::map<std::string, std::unique_ptr<Entry>>;  // by model

    std::unique_ptr<Entry> take_up(const config::Model& model, const Entry* before);
    void show(const std::string& model, Entry& entry);
    void report(const routing::RolloutAction& action, const routing::Rollout& rollout) const;
    void store(const std::string& model, Entry& entry);
    std::string file_of(const std::string& model) const;

    routing::RolloutDirectory& directory_;
    metrics::Registry& registry_;
    const Clock& clock_;
    Log log_;
    std::string folder_;  // empty = in memory only
    Entries entries_;
};

}  // namespace millrace::gateway
