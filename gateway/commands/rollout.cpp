#include "gateway/commands/rollout.hpp"

#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>

#include "config/report.hpp"
#include "config/syntax.hpp"
#include "gateway/commands/exit_code.hpp"
#include "routing/rollout.hpp"

namespace millrace::gateway {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kStatus = "status";
constexpr const char* kAll = "/rollouts";

bool is_text(const Json& object, const char* key) {
    return object.is_object() && object.contains(key) && object[key].is_string();
}

bool is_report(const Json& json) {
    return is_text(json, "model") && is_text(json, "explanation");
}

/// The report of that model among all; nullopt after saying why there is none.
std::optional<Json> find_report(const AdminClient& gateway, const std::string& model,
                                std::ostream& err) {
    const auto body = gateway.ask("GET", kAll);
    if (!body) {
        return std::nullopt;
    }
    const auto all = Json::parse(*body, nullptr, /*allow_exceptions=*/false);
    if (!all.is_object() || !all.contains("rollouts") || !all["rollouts"].is_array()) {
        gateway.complain(kAll);
        return std::nullopt;
    }
    std::string others;
    for (const auto& report : all["rollouts"]) {
        if (!is_report(report)) {
            gateway.complain(kAll);
            return std::nullopt;
        }
        const auto& name = report["model"].get_ref<const std::string&>();
        if (name == model) {
            return report;
        }
        others += (others.empty() ? "" : ", ") + config::in_ticks(name);
    }
    err << "The model " << config::in_ticks(model) << " has no rollout; "
        << (others.empty() ? "no model has one" : "those that have one: " + others) << ".\n";
    return std::nullopt;
}

/// The report of the rollout that has obeyed; nullopt after saying why it has not.
std::optional<Json> give_order(const AdminClient& gateway, const RolloutOptions& options) {
    // No character of an id has to be encoded in a path.
    const auto path = std::string(kAll) + '/' + options.model + '/' + options.order;
    const auto body = gateway.ask("POST", path);
    if (!body) {
        return std::nullopt;
    }
    auto report = Json::parse(*body, nullptr, /*allow_exceptions=*/false);
    if (!is_report(report)) {
        gateway.complain(path);
        return std::nullopt;
    }
    return report;
}

}  // namespace

bool is_rollout_order(std::string_view word) {
    return word == kStatus || routing::rollout_command(word).has_value();
}

int run_rollout(const RolloutOptions& options, const AdminExchange& exchange, std::ostream& out,
                std::ostream& err) {
    if (!config::is_identifier(options.model)) {
        err << config::in_ticks(options.model) << " is not the id of a model.\n";
        return kExitConfiguration;
    }
    if (!is_rollout_order(options.order)) {
        err << config::in_ticks(options.order)
            << " is none of status, start, pause, resume, promote and abort.\n";
        return kExitConfiguration;
    }
    const auto gateway = AdminClient::open(options.admin, options.token_file, exchange, err);
    if (!gateway) {
        return kExitConfiguration;
    }
    const auto report = options.order == kStatus ? find_report(*gateway, options.model, err)
                                                 : give_order(*gateway, options);
    if (!report) {
        return kExitRuntimeFailure;
    }
    out << (options.json ? report->dump(2) : report->at("explanation").get<std::string>()) << '\n';
    return kExitClean;
}

int run_rollout(const RolloutOptions& options, std::ostream& out, std::ostream& err) {
    return run_rollout(options, http_exchange, out, err);
}

}  // namespace millrace::gateway
