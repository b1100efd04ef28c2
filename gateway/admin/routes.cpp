#include "gateway/admin/routes.hpp"

#include <memory>
#include <string_view>
#include <utility>

namespace millrace::gateway {
namespace {

using Plane = std::shared_ptr<const ControlPlane>;

ControlResponse plain(unsigned status, std::string text) {
    ControlResponse response;
    response.status = status;
    response.body = std::move(text);
    response.content_type = "text/plain; charset=utf-8";
    return response;
}

ControlResponse json(std::string body) {
    ControlResponse response;
    response.body = std::move(body);
    return response;
}

/// POST /drain and /undrain: of one endpoint if the query names one, else of the whole gateway.
ControlResponse change_drain(const ControlPlane& plane, const ControlRequest& request,
                             bool drained) {
    const auto backend = request.query.find("backend");
    const auto endpoint = request.query.find("endpoint");
    const bool has_backend = backend != request.query.end();
    const bool has_endpoint = endpoint != request.query.end();
    if (has_backend != has_endpoint) {
        return control_error(400, "bad_query",
                             "Give both `backend` and `endpoint` to drain one endpoint, or neither "
                             "for the whole gateway.");
    }
    if (has_endpoint) {
        const auto done = plane.drain_endpoint(backend->second, endpoint->second, drained);
        return done ? json(plane.status_json())
                    : control_error(404, "endpoint_not_found", done.error().detail);
    }
    const auto done = drained ? plane.drain() : plane.undrain();
    return done ? json(plane.status_json()) : control_error(409, "conflict", done.error().detail);
}

ControlResponse scaling_answer(const ControlPlane& plane, const ControlRequest& request) {
    auto answer = plane.scaling_json(request.capture);
    return answer ? json(std::move(*answer))
                  : control_error(404, "model_not_found",
                                  "No model is called " + request.capture + ".");
}

ControlResponse explain_answer(const ControlPlane& plane, const ControlRequest& request) {
    auto answer = plane.explain(request.body);
    return answer ? json(std::move(*answer))
                  : control_error(400, "bad_request", answer.error().detail);
}

/// POST /rollouts/{model}/{command}: an id may have slashes, a command has none.
ControlResponse rollout_answer(const ControlPlane& plane, const ControlRequest& request) {
    const auto slash = request.capture.rfind('/');
    if (slash == std::string::npos) {
        return control_error(404, "not_found",
                             "Say which model and what to do: /rollouts/MODEL/pause, for example.");
    }
    auto answer =
        plane.command_rollout(request.capture.substr(0, slash), request.capture.substr(slash + 1));
    if (answer) {
        return json(std::move(*answer));
    }
    const auto code = answer.error().code;
    const bool unknown = code == Errc::model_not_found || code == Errc::path_not_found;
    return unknown ? control_error(404, "not_found", answer.error().detail)
                   : control_error(409, "conflict", answer.error().detail);
}

}  // namespace

std::vector<ControlRoute> metrics_routes(ControlPlane functions) {
    const Plane plane = std::make_shared<const ControlPlane>(std::move(functions));
    return {
        {"GET", "/metrics",
         [plane](const ControlRequest&) {
             auto response = plain(200, plane->render_metrics());
             response.content_type = "text/plain; version=0.0.4; charset=utf-8";
             return response;
         }},
        // Liveness: that this answers at all is the answer. It never looks at a dependency.
        {"GET", "/healthz", [](const ControlRequest&) { return plain(200, "ok\n"); }},
        {"GET", "/readyz",
         [plane](const ControlRequest&) {
             const auto readiness = plane->ready();
             return plain(readiness.ready ? 200 : 503, readiness.reason + "\n");
         }},
        {"GET", "/scaling/v1/models/{id}",
         [plane](const ControlRequest& request) { return scaling_answer(*plane, request); }},
    };
}

std::vector<ControlRoute> admin_routes(ControlPlane functions) {
    const Plane plane = std::make_shared<const ControlPlane>(std::move(functions));
    return {
        {"POST", "/drain",
         [plane](const ControlRequest& request) { return change_drain(*plane, request, true); }},
        {"POST", "/undrain",
         [plane](const ControlRequest& request) { return change_drain(*plane, request, false); }},
        {"GET", "/status", [plane](const ControlRequest&) { return json(plane->status_json()); }},
        {"POST", "/explain",
         [plane](const ControlRequest& request) { return explain_answer(*plane, request); }},
        {"GET", "/rollouts",
         [plane](const ControlRequest&) { return json(plane->rollouts_json()); }},
        {"POST", "/rollouts/{model}/{command}",
         [plane](const ControlRequest& request) { return rollout_answer(*plane, request); }},
    };
}

}  // namespace millrace::gateway
