#include "gateway/app/rollouts.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <utility>

#include "gateway/adapters/atomic_file.hpp"
#include "gateway/adapters/file_reader.hpp"
#include "routing/rollout_report.hpp"
#include "routing/rollout_settings.hpp"

namespace millrace::gateway {
namespace {

using config::LogLevel;
using routing::RolloutAction;
using routing::RolloutArm;
using routing::RolloutPhase;

/// Evidence changes with every request; so much of it may be lost in a crash.
constexpr Duration kSaveEvery = std::chrono::seconds(30);
constexpr std::uint64_t kLargestState = 1U << 20U;

constexpr std::array kPhases{RolloutPhase::waiting,     RolloutPhase::running,
                             RolloutPhase::paused,      RolloutPhase::promoted,
                             RolloutPhase::rolled_back, RolloutPhase::aborted};

bool is_watching(const routing::Rollout& rollout) {
    return rollout.phase() == RolloutPhase::running || rollout.phase() == RolloutPhase::paused;
}

}  // namespace

Rollouts::Rollouts(routing::RolloutDirectory& directory, metrics::Registry& registry,
                   const Clock& clock, Log log)
    : directory_(directory), registry_(registry), clock_(clock), log_(std::move(log)) {}

void Rollouts::follow(const config::Config& config) {
    const bool moved =
        std::exchange(folder_, config.rollouts.state_directory) != config.rollouts.state_directory;
    Entries next;
    for (const auto& model : config.models) {
        if (!model.rollout) {
            continue;
        }
        const auto found = entries_.find(model.id);
        auto* before = found == entries_.end() ? nullptr : found->second.get();
        const auto names = routing::rollout_names(model);
        const bool same =
            before != nullptr && before->rollout.names().identity() == names.identity();
        std::unique_ptr<Entry> entry;
        if (same && before->settings == *model.rollout) {
            entry = std::move(found->second);
            entry->dirty = entry->dirty || moved;
        } else {
            entry = take_up(model, same ? before : nullptr);
        }
        next.emplace(model.id, std::move(entry));
    }
    entries_ = std::move(next);  // the gauges of those that are gone go first
    for (auto& [model, entry] : entries_) {
        entry->traffic->publish(entry->rollout.weight());
        show(model, *entry);
        if (entry->dirty) {
            store(model, *entry);
        }
    }
}

/// From the entry that it follows, else from the disk, else anew.
std::unique_ptr<Rollouts::Entry> Rollouts::take_up(const config::Model& model,
                                                   const Entry* before) {
    const auto policy = routing::rollout_policy(*model.rollout);
    const auto names = routing::rollout_names(model);
    std::optional<std::string> text;
    if (before != nullptr) {
        text = before->rollout.to_json();
    } else if (const auto file = file_of(model.id);
               !file.empty() && std::filesystem::exists(file)) {
        auto read = read_whole_file(file, kLargestState);
        if (!read) {
            log_(LogLevel::warning, read.error().detail);
        } else {
            text = std::move(*read);
        }
    }
    routing::Rollout rollout(policy, names);
    bool anew = true;
    if (text) {
        auto restored = routing::Rollout::restore(policy, names, *text);
        anew = !restored.note.empty();
        rollout = std::move(restored.rollout);
        if (anew) {
            log_(LogLevel::warning, "model " + model.id + ": " + restored.note);
        }
    }
    if (anew) {
        static_cast<void>(rollout.command(routing::RolloutCommand::start));  // a new one may
    }
    log_(LogLevel::info, rollout.explain());
    auto traffic = directory_.acquire(names, rollout.weight());
    return std::make_unique<Entry>(Entry{.settings = *model.rollout,
                                         .rollout = std::move(rollout),
                                         .traffic = std::move(traffic),
                                         .dirty = true,
                                         .saved_at = {},
                                         .gauges = {}});
}

void Rollouts::show(const std::string& model, Entry& entry) {
    if (!entry.gauges.empty()) {
        return;
    }
    const auto* rollout = &entry.rollout;
    entry.gauges.push_back(
        registry_.register_gauge(metrics::Series::rollout_weight_percent, {model},
                                 [rollout] { return static_cast<double>(rollout->weight()); }));
    for (const auto phase : kPhases) {
        entry.gauges.push_back(registry_.register_gauge(
            metrics::Series::rollout_phase, {model, std::string(to_string(phase))},
            [rollout, phase] { return rollout->phase() == phase ? 1.0 : 0.0; }));
    }
}

void Rollouts::advance() {
    const Instant now = clock_.now();
    for (auto& [model, entry] : entries_) {
        const bool watched = is_watching(entry->rollout);
        const auto action = entry->rollout.advance(entry->traffic->totals(RolloutArm::stable),
                                                   entry->traffic->totals(RolloutArm::canary), now);
        entry->traffic->publish(entry->rollout.weight());
        report(action, entry->rollout);
        entry->dirty = entry->dirty || watched;
        if (action.kind != RolloutAction::Kind::none ||
            (entry->dirty && now - entry->saved_at >= kSaveEvery)) {
            store(model, *entry);
        }
    }
}

void Rollouts::report(const RolloutAction& action, const routing::Rollout& rollout) const {
    switch (action.kind) {
        case RolloutAction::Kind::none: break;
        case RolloutAction::Kind::stepped:
            log_(LogLevel::info, "canary " + rollout.names().canary + " of model " +
                                     rollout.names().model + " steps to " +
                                     std::to_string(action.weight) + " %: " + action.reason);
            break;
        case RolloutAction::Kind::promoted: log_(LogLevel::info, rollout.explain()); break;
        case RolloutAction::Kind::rolled_back:
        case RolloutAction::Kind::overdue: log_(LogLevel::warning, rollout.explain()); break;
    }
}

void Rollouts::save() {
    for (auto& [model, entry] : entries_) {
        if (entry->dirty) {
            store(model, *entry);
        }
    }
}

void Rollouts::store(const std::string& model, Entry& entry) {
    entry.saved_at = clock_.now();  // also when it fails: the next try is as far away
    const auto file = file_of(model);
    if (!file.empty()) {
        if (auto written = replace_file(file, entry.rollout.to_json()); !written) {
            log_(LogLevel::error, written.error().detail);
            return;
        }
    }
    entry.dirty = false;
}

/// A model's id is a file's name but for its slashes; `~` is in no id.
std::string Rollouts::file_of(const std::string& model) const {
    if (folder_.empty()) {
        return {};
    }
    auto name = model;
    std::ranges::replace(name, '/', '~');
    return folder_ + "/" + name + ".json";
}

std::string Rollouts::to_json() const {
    std::string out = R"({"rollouts": [)";
    bool first = true;
    for (const auto& [model, entry] : entries_) {
        out += (std::exchange(first, false) ? "" : ", ") + routing::report_json(entry->rollout);
    }
    return out + "]}\n";
}

Result<std::string> Rollouts::command(const std::string& model, const std::string& command) {
    const auto found = entries_.find(model);
    if (found == entries_.end()) {
        return failure(Errc::model_not_found, Origin::policy,
                       "The model `" + model +
                           "` has no rollout; GET /rollouts lists those that "
                           "do.");
    }
    const auto known = routing::rollout_command(command);
    if (!known) {
        return failure(Errc::path_not_found, Origin::policy,
                       "`" + command + "` is none of start, pause, resume, promote and abort.");
    }
    auto& entry = *found->second;
    if (auto obeyed = entry.rollout.command(*known); !obeyed) {
        return failure(Errc::forbidden, Origin::policy, obeyed.error());
    }
    entry.traffic->publish(entry.rollout.weight());
    log_(LogLevel::info, entry.rollout.explain());
    store(model, entry);
    return routing::report_json(entry.rollout) + "\n";
}

}  // namespace millrace::gateway
