#include "gateway/app/health_checks.hpp"

#include <utility>

namespace millrace::gateway {

HealthChecks::HealthChecks(routing::PoolDirectory& pools, Probe probe, const Clock& clock,
                           std::uint64_t seed)
    : pools_(pools), probe_(std::move(probe)), clock_(clock), random_(seed) {}

void HealthChecks::follow(std::shared_ptr<const Snapshot> snapshot) {
    snapshot_ = std::move(snapshot);
}

void HealthChecks::advance() {
    const Instant now = clock_.now();
    for (const auto& [name, settings] : snapshot_->config().backends) {
        const auto pool = pools_.find(name);
        if (settings.health && pool != nullptr) {
            check_pool(name, *pool, snapshot_->backends[pool->id()], now);
        } else {
            backends_.erase(name);
        }
    }
    std::erase_if(backends_, [this](const auto& entry) {
        return !snapshot_->config().backends.contains(entry.first);
    });
}

void HealthChecks::check_pool(const std::string& backend, const routing::Pool& pool,
                              const BackendRuntime& runtime, Instant now) {
    const auto interval = runtime.settings->health->interval;
    Endpoints next;
    auto& known = backends_[backend];
    for (const auto& endpoint : pool.snapshot()->endpoints) {
        auto [entry, is_new] = next.try_emplace(endpoint->url);
        if (const auto found = known.find(endpoint->url); found != known.end()) {
            entry->second = found->second;
        } else if (is_new) {
            entry->second.due = now + interval * random_.below(1'000) / 1'000;
        }
        auto& checked = entry->second;
        if (!checked.running && now >= checked.due) {
            checked.running = true;
            checked.due = now + interval;
            begin(backend, *endpoint, runtime);
        }
    }
    known = std::move(next);  // forgets those that are gone
}

void HealthChecks::begin(const std::string& backend, const routing::EndpointState& endpoint,
                         const BackendRuntime& runtime) {
    const auto& settings = *runtime.settings->health;
    HttpRequest request;
    request.url = endpoint.url + settings.path;
    request.timeout = settings.timeout;
    request.server_name = endpoint.address.name;
    request.tls = runtime.tls;
    request.headers.emplace_back("host", endpoint.authority);
    if (!runtime.authorization.empty()) {
        request.headers.emplace_back("authorization", runtime.authorization);
    }
    probe_(std::move(request), [this, backend, url = endpoint.url](Result<HttpAnswer> answer) {
        finish(backend, url, answer);
    });
}

void HealthChecks::finish(const std::string& backend, const std::string& url,
                          const Result<HttpAnswer>& answer) {
    const auto followed = backends_.find(backend);
    if (followed == backends_.end() || !followed->second.contains(url)) {
        return;  // it is gone, or no longer checked
    }
    followed->second[url].running = false;
    if (const auto pool = pools_.find(backend); pool != nullptr) {
        const int status = answer ? static_cast<int>(answer->status) : 0;
        pool->checked(url, routing::CheckResult::of_status(status), clock_.now());
    }
}

}  // namespace millrace::gateway
