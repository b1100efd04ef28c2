// Where the endpoints of routing tests listen.
#pragma once

#include <string>

#include "routing/endpoints.hpp"

namespace millrace::routing {

/// `http://10.0.0.<last>:8000`.
inline EndpointAddress at(int last) {
    return {"10.0.0." + std::to_string(last), 8000, false, ""};
}

}  // namespace millrace::routing
