// What the metrics listener and the admin listener answer, as two route tables over functions that
// the app provides.
//
// metrics: GET /metrics, /healthz, /readyz, /scaling/v1/models/{id}       (cluster-wide, no token)
// admin:   POST /drain, /undrain (each also with ?backend=NAME&endpoint=URL), /explain; GET
// /status;
//          GET /rollouts; POST /rollouts/{model}/{start|pause|resume|promote|abort}
// Thread-safety: the functions are called on the control thread only.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "config/base/error.hpp"
#include "gateway/admin/control_server.hpp"

namespace millrace::gateway {

struct Readiness {
    bool ready = false;
    std::string reason;  ///< shown either way, e.g. "draining"
};

/// The app behind the two listeners. Every function must be set.
struct ControlPlane {
    std::function<Result<void>()> drain;  ///< stop taking new requests; idempotent
    std::function<Result<void>()>
        undrain;  ///< take them again; refused once the process is shutting down
    /// Takes one endpoint out of (true) or back into (false) rotation; an error when the two names
    /// fit nothing.
    std::function<Result<void>(const std::string& backend, const std::string& url, bool drained)>
        drain_endpoint;
    std::function<Readiness()> ready;
    std::function<std::string()> render_metrics;  ///< Prometheus text format 0.0.4
    /// `{"value": load, …}` of a model, or nullopt for an unknown one.
    std::function<std::optional<std::string>(const std::string& model)> scaling_json;
    /// At least `{"state": "serving" | "draining", "queued": N, "in_flight": N}`; `millrace drain`
    /// reads these.
    std::function<std::string()> status_json;
    /// Body of POST /explain → JSON; an error becomes a 400.
    std::function<Result<std::string>(const std::string& request)> explain;
    std::function<std::string()> rollouts_json;
    /// The report of the rollout after the command; model_not_found and path_not_found become a
    /// 404, other errors a 409.
    std::function<Result<std::string>(const std::string& model, const std::string& command)>
        command_rollout;
};

std::vector<ControlRoute> metrics_routes(ControlPlane plane);
std::vector<ControlRoute> admin_routes(ControlPlane plane);

}  // namespace millrace::gateway
