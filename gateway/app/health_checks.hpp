// HealthChecks: asks every endpoint of the backends that want it, on the control thread, whether it
// is well, and takes out of rotation those that keep failing.
//
// An endpoint counts as well until it has failed so many checks in a row (routing/health): checks
// take an endpoint out, they do not have to let it in. One check per endpoint at a time; the first
// ones are spread over an interval.
// Thread-safety: none; control thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "config/base/clock.hpp"
#include "config/base/random.hpp"
#include "gateway/adapters/http_client.hpp"
#include "gateway/pipeline/snapshot.hpp"
#include "routing/endpoints.hpp"

namespace millrace::gateway {

class HealthChecks {
public:
    using Done = std::function<void(Result<HttpAnswer>)>;
    /// Begins an exchange and calls `done` on this thread when it has ended.
    using Probe = std::function<void(HttpRequest request, Done done)>;

    HealthChecks(routing::PoolDirectory& pools, Probe probe, const Clock& clock,
                 std::uint64_t seed);
    HealthChecks(const HealthChecks&) = delete;
    HealthChecks& operator=(const HealthChecks&) = delete;

    /// Settings, credentials and TLS are this snapshot's from here on.
    void follow(std::shared_ptr<const Snapshot> snapshot);
    /// Begins the checks that are due. To be called every second or more often.
    void advance();

private:
    struct Checked {
        Instant due{};
        bool running = false;
    };
    using Endpoints = std::map<std::string, Checked>;  // by URL

    void check_pool(const std::string& backend, const routing::Pool& pool,
                    const BackendRuntime& runtime, Instant now);
    void begin(const std::string& backend, const routing::EndpointState& endpoint,
               const BackendRuntime& runtime);
    void finish(const std::string& backend, const std::string& url,
                const Result<HttpAnswer>& answer);

    routing::PoolDirectory& pools_;
    Probe probe_;
    const Clock& clock_;
    Random random_;
    std::shared_ptr<const Snapshot> snapshot_;
    std::map<std::string, Endpoints> backends_;
};

}  // namespace millrace::gateway
