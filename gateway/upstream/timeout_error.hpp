// What a request is told when a limit towards its backend has passed. Thread-safety: pure function.
#pragma once

#include "config/base/clock.hpp"
#include "config/base/error.hpp"
#include "config/model.hpp"

namespace millrace::gateway {

/// `code` names the limit that passed; any but those of `limits` is total_timeout, after `total`.
Error timeout_error(Errc code, const config::UpstreamTimeouts& limits, Duration total);

}  // namespace millrace::gateway
