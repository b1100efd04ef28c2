// The way to an endpoint: its address, a TCP connection, and the TLS handshake where it speaks
// https. Thread-safety: none; on the loop's worker.
#pragma once

#include <memory>

#include "config/base/error.hpp"
#include "gateway/runtime/loop.hpp"
#include "gateway/runtime/task.hpp"
#include "gateway/upstream/backend.hpp"
#include "gateway/upstream/pool.hpp"
#include "routing/endpoints.hpp"

namespace millrace::gateway {

/// Opens a connection for requests. `connection` is there before the first wait, so that the caller
/// can end the dial: close its socket. Fails with upstream_connect_failed, or server_overloaded
/// when it is the gateway that lacks descriptors or memory. All arguments outlive the call.
Task<Result<void>> dial(Loop& loop, std::unique_ptr<Connection>& connection,
                        const routing::EndpointState& endpoint, const BackendRuntime& backend);

}  // namespace millrace::gateway
