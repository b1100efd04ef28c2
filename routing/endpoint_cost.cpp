#include "routing/endpoint_cost.hpp"

#include "config/base/assert.hpp"

namespace millrace::routing {

double endpoint_dollars(config::Dollars per_hour, Duration taken, std::uint32_t slots) {
    MILLRACE_ASSERT(slots > 0);
    const double per_second = static_cast<double>(per_hour.millionths) / 1e6 / 3600;
    return per_second * seconds(taken) / slots;
}

}  // namespace millrace::routing
