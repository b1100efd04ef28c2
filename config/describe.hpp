// What each key of the document is called, means and may hold: one `describe(visitor, T&)` per
// struct of model.hpp.
//
// The loader, the JSON Schema, docs/CONFIGURATION.md and every "did you mean" are visitors of these
// functions, so they cannot disagree. A visitor has `template <class T> void field(const Field&, T&
// member)`; the type of the member says most, Field says the rest. The default is whatever a fresh
// T holds. Thread-safety: constants and pure functions.
#pragma once

#include "config/describe_backends.hpp"
#include "config/describe_models.hpp"
#include "config/describe_rollouts.hpp"
#include "config/describe_server.hpp"

namespace millrace::config {

template <class Visitor>
void describe(Visitor& visitor, Config& x) {
    visitor.field({.key = "listeners", .doc = "The sockets that Millrace opens."}, x.listeners);
    visitor.field({.key = "process", .doc = "The process as a whole."}, x.process);
    visitor.field({.key = "limits",
                   .doc = "Limits on the form of requests; crossing one is a 4xx that names it."},
                  x.limits);
    visitor.field({.key = "overload",
                   .doc = "When the process gives up more and more to stay alive: from 85 % of a "
                          "resource idle timeouts shrink, from 92 % connections close after their "
                          "answer, from 95 % requests get a 503 before their body is read, from "
                          "97 % nothing is accepted. The resources are `limits.buffered_bytes`, "
                          "`listeners.data.max_connections`, file descriptors and the time of the "
                          "event loops; each leads only to the steps that relieve it."},
                  x.overload);
    visitor.field({.key = "http", .doc = "Choices where HTTP leaves one."}, x.http);
    visitor.field({.key = "client_timeouts", .doc = "Timeouts towards clients."},
                  x.client_timeouts);
    visitor.field({.key = "authentication", .doc = "Who may call the data listener."},
                  x.authentication);
    visitor.field({.key = "trust", .doc = "Whose forwarding headers are believed."}, x.trust);
    visitor.field({.key = "tenants",
                   .doc = "What each tenant gets. Keys, certificates or a trusted proxy say who is "
                          "which; everybody else is tenant `anonymous`."},
                  x.tenants);
    visitor.field({.key = "models", .doc = "The models that clients may name."}, x.models);
    visitor.field({.key = "rollouts", .doc = "What is common to the rollouts of all models."},
                  x.rollouts);
    visitor.field({.key = "backends",
                   .doc = "The pools of servers behind models and routes, by name. A backend is "
                          "the unit of counting and of the labels of metrics."},
                  x.backends);
    visitor.field({.key = "routes",
                   .doc = "Gateway API HTTPRoute manifests, tried before the list of models."},
                  x.routes);
    visitor.field({.key = "logging", .doc = "What is written where."}, x.logging);
    visitor.field({.key = "drain", .doc = "How the process ends without losing requests."},
                  x.drain);
}

}  // namespace millrace::config
