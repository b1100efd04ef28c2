#include "gateway/app/endpoint_rounds.hpp"

#include <utility>
#include <vector>

#include "metrics/engine_load.hpp"
#include "metrics/scrape.hpp"
#include "routing/canary.hpp"

namespace millrace::gateway {
namespace {

/// A health endpoint says it by its status.
constexpr std::uint64_t kHealthBody = std::uint64_t{64} * 1024;
/// A server with many adapters and ranks reports a few hundred kilobytes.
constexpr std::uint64_t kMetricsBody = std::uint64_t{4} * 1024 * 1024;

std::vector<std::uint64_t> adapters_of(const metrics::EngineLoad& load) {
    std::vector<std::uint64_t> hashes;
    if (load.lora) {
        for (const auto* names : {&load.lora->running, &load.lora->waiting}) {
            for (const auto& name : *names) {
                hashes.push_back(routing::stable_hash(name));
            }
        }
    }
    return hashes;
}

}  // namespace

RoundKind health_checks() {
    return {[](const config::Backend& settings) -> std::optional<Question> {
                if (!settings.health) {
                    return std::nullopt;
                }
                const auto& health = *settings.health;
                return Question{health.path, health.interval, health.timeout, kHealthBody};
            },
            [](routing::Pool& pool, const std::string& url, const Result<HttpAnswer>& answer,
               Instant now) {
                if (!answer && answer.error().origin == Origin::internal) {
                    return;  // we could not ask
                }
                const int status = answer ? static_cast<int>(answer->status) : 0;
                pool.checked(url, routing::CheckResult::of_status(status), now);
            }};
}

RoundKind engine_metrics() {
    return {[](const config::Backend& settings) -> std::optional<Question> {
                if (!settings.metrics) {
                    return std::nullopt;
                }
                const auto& metrics = *settings.metrics;
                return Question{metrics.path, metrics.interval, metrics.max_age, kMetricsBody};
            },
            [](routing::Pool& pool, const std::string& url, const Result<HttpAnswer>& answer,
               Instant now) {
                if (answer && answer->status == 200) {
                    const auto load = metrics::vllm_load(metrics::parse_scrape(answer->body));
                    pool.advised(url, {load.waiting, load.running, load.kv_usage},
                                 adapters_of(load), now);
                }
            }};
}

EndpointRounds::EndpointRounds(RoundKind kind, routing::PoolDirectory& pools, Probe probe,
                               const Clock& clock, std::uint64_t seed)
    : kind_(std::move(kind)),
      pools_(pools),
      probe_(std::move(probe)),
      clock_(clock),
      random_(seed) {}

void EndpointRounds::follow(std::shared_ptr<const Snapshot> snapshot) {
    snapshot_ = std::move(snapshot);
}

void EndpointRounds::advance() {
    const Instant now = clock_.now();
    for (const auto& [name, settings] : snapshot_->config().backends) {
        const auto pool = pools_.find(name);
        const auto question = kind_.question(settings);
        if (question && pool != nullptr) {
            ask_pool(name, *pool, snapshot_->backends[pool->id()], *question, now);
        } else {
            backends_.erase(name);
        }
    }
    std::erase_if(backends_, [this](const auto& entry) {
        return !snapshot_->config().backends.contains(entry.first);
    });
}

void EndpointRounds::ask_pool(const std::string& backend, const routing::Pool& pool,
                              const BackendRuntime& runtime, const Question& question,
                              Instant now) {
    Endpoints next;
    auto& known = backends_[backend];
    for (const auto& endpoint : pool.snapshot()->endpoints) {
        auto [entry, is_new] = next.try_emplace(endpoint->url);
        if (const auto found = known.find(endpoint->url); found != known.end()) {
            entry->second = found->second;
        } else if (is_new) {
            entry->second.due = now + question.interval * random_.below(1'000) / 1'000;
        }
        auto& asked = entry->second;
        if (!asked.running && now >= asked.due) {
            asked.running = true;
            asked.due = now + question.interval;
            ask(backend, *endpoint, runtime, question);
        }
    }
    known = std::move(next);  // forgets those that are gone
}

void EndpointRounds::ask(const std::string& backend, const routing::EndpointState& endpoint,
                         const BackendRuntime& runtime, const Question& question) {
    HttpRequest request;
    request.url = endpoint.url + question.path;
    request.timeout = question.timeout;
    request.max_answer = question.max_answer;
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

void EndpointRounds::finish(const std::string& backend, const std::string& url,
                            const Result<HttpAnswer>& answer) {
    const auto followed = backends_.find(backend);
    if (followed == backends_.end() || !followed->second.contains(url)) {
        return;  // it is gone, or no longer asked
    }
    followed->second[url].running = false;
    if (const auto pool = pools_.find(backend); pool != nullptr) {
        kind_.take(*pool, url, answer, clock_.now());
    }
}

}  // namespace millrace::gateway
